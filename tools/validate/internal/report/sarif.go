package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

const (
	sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	// sourceRoot is what GitHub takes for the root of the repository.
	sourceRoot = "%SRCROOT%"
	homepage   = "https://github.com/ft-services/ft-services"
)

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver sarifDriver `json:"driver"`
	} `json:"tool"`
	Invocations []sarifInvocation `json:"invocations"`
	ColumnKind  string            `json:"columnKind"`
	Results     []sarifResult     `json:"results"`
}

type sarifDriver struct {
	Name           string      `json:"name"`
	InformationURI string      `json:"informationUri"`
	Rules          []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID                   string         `json:"id"`
	ShortDescription     sarifText      `json:"shortDescription"`
	FullDescription      sarifText      `json:"fullDescription"`
	Help                 sarifText      `json:"help"`
	HelpURI              string         `json:"helpUri,omitempty"`
	DefaultConfiguration sarifLevel     `json:"defaultConfiguration"`
	Properties           map[string]any `json:"properties"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifLevel struct {
	Level string `json:"level"`
}

type sarifInvocation struct {
	ExecutionSuccessful        bool                `json:"executionSuccessful"`
	ToolExecutionNotifications []sarifNotification `json:"toolExecutionNotifications"`
}

type sarifNotification struct {
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations"`
}

type sarifResult struct {
	RuleID              string             `json:"ruleId"`
	RuleIndex           int                `json:"ruleIndex"`
	Level               string             `json:"level"`
	Message             sarifText          `json:"message"`
	Locations           []sarifLocation    `json:"locations"`
	PartialFingerprints map[string]string  `json:"partialFingerprints"`
	Suppressions        []sarifSuppression `json:"suppressions"`
	Properties          map[string]any     `json:"properties"`
}

type sarifLocation struct {
	PhysicalLocation *sarifPhysical `json:"physicalLocation,omitempty"`
	LogicalLocations []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct {
	ArtifactLocation sarifArtifact `json:"artifactLocation"`
	Region           *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI       string `json:"uri"`
	URIBaseID string `json:"uriBaseId,omitempty"`
}

type sarifRegion struct {
	StartLine   int `json:"startLine"`
	StartColumn int `json:"startColumn,omitempty"`
}

type sarifLogical struct {
	FullyQualifiedName string `json:"fullyQualifiedName"`
	Kind               string `json:"kind"`
}

type sarifSuppression struct {
	Kind          string         `json:"kind"`
	Status        string         `json:"status"`
	Justification string         `json:"justification"`
	Properties    map[string]any `json:"properties"`
}

// SARIF writes the report as a log of the Static Analysis Results Interchange Format 2.1.0. An overlay
// that could not be checked is a notification of an invocation without success.
func SARIF(w io.Writer, report *Report, _ bool) error {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "validate", InformationURI: homepage, Rules: []sarifRule{}}
	index := map[string]int{}
	for i, rule := range report.Rules() {
		index[rule.Name] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(rule))
	}
	invocation := sarifInvocation{ExecutionSuccessful: true, ToolExecutionNotifications: []sarifNotification{}}
	for _, overlay := range report.Overlays {
		if overlay.Error != "" {
			invocation.ExecutionSuccessful = false
			invocation.ToolExecutionNotifications = append(invocation.ToolExecutionNotifications, sarifNotification{
				Level: "error", Message: sarifText{overlay.Name + ": " + overlay.Error},
				Locations: []sarifLocation{{PhysicalLocation: report.physical(overlay.Name, 0, 0)}},
			})
		}
	}
	run.Invocations = []sarifInvocation{invocation}
	for _, finding := range report.Findings {
		result := report.sarifResult(finding)
		result.RuleIndex = -1 // This is SARIF's word for unknown.
		if i, known := index[finding.Policy]; known {
			result.RuleIndex = i
		}
		run.Results = append(run.Results, result)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(sarifLog{sarifSchema, "2.1.0", []sarifRun{run}}); err != nil {
		return fmt.Errorf("writing the report as SARIF: %w", err)
	}
	return nil
}

func sarifRuleOf(rule *policy.Policy) sarifRule {
	described := sarifRule{
		ID:                   rule.Name,
		ShortDescription:     sarifText{rule.Title},
		FullDescription:      sarifText{cmp.Or(rule.Description, rule.Title)},
		Help:                 sarifText{cmp.Or(rule.Remediation, rule.Title)},
		DefaultConfiguration: sarifLevel{rule.Severity},
		Properties:           map[string]any{"problem.severity": rule.Severity, "tags": append([]string{}, rule.Requirements...)},
	}
	for _, link := range rule.RelatedResources {
		if parsed, err := url.Parse(link); err == nil && parsed.IsAbs() {
			described.HelpURI = link
			break
		}
	}
	return described
}

func (r *Report) sarifResult(finding Finding) sarifResult {
	text := finding.Message
	if len(finding.Overlays) > 0 {
		text += " (in " + strings.Join(finding.Overlays, ", ") + ")"
	}
	if finding.Remediation != "" {
		text += "\n" + finding.Remediation
	}
	properties := map[string]any{"object": finding.Object, "field": finding.Field, "overlays": append([]string{}, finding.Overlays...)}
	if finding.Value != nil {
		properties["value"] = finding.Value
	}
	if finding.Container != "" {
		properties["container"] = finding.Container
	}
	result := sarifResult{
		RuleID:    finding.Policy,
		Level:     finding.Severity,
		Message:   sarifText{text},
		Locations: []sarifLocation{},
		// The line is left out, so that a finding stays the same when it moves.
		PartialFingerprints: map[string]string{"finding/v1": fingerprint(finding.Policy, finding.Object, finding.Field, finding.Message, finding.File)},
		// SARIF wants this of all results or of none.
		Suppressions: []sarifSuppression{},
		Properties:   properties,
	}
	// GitHub refuses a log of which one result has no file: an unknown one is the overlay's.
	location := sarifLocation{PhysicalLocation: r.physical(finding.File, finding.Line, finding.Column)}
	if finding.File == "" && len(finding.Overlays) > 0 {
		location.PhysicalLocation = r.physical(finding.Overlays[0], 0, 0)
	}
	if finding.Object != "" {
		location.LogicalLocations = []sarifLogical{{strings.TrimSpace(finding.Object + " " + finding.Field), "object"}}
	}
	if location.PhysicalLocation != nil || location.LogicalLocations != nil {
		result.Locations = append(result.Locations, location)
	}
	if waiver := finding.Waived; waiver != nil {
		result.Suppressions = append(result.Suppressions, sarifSuppression{
			Kind: "external", Status: "accepted", Justification: waiver.Reason,
			Properties: map[string]any{"owner": waiver.Owner, "expires": waiver.Expires},
		})
	}
	return result
}

func (r *Report) physical(file string, line, column int) *sarifPhysical {
	if file == "" {
		return nil
	}
	place := &sarifPhysical{ArtifactLocation: sarifArtifact{URIBaseID: sourceRoot}}
	uri := url.URL{Path: r.fromRoot(file)}
	if filepath.IsAbs(file) && uri.Path == filepath.ToSlash(file) {
		uri.Scheme, place.ArtifactLocation.URIBaseID = "file", ""
	}
	place.ArtifactLocation.URI = uri.String()
	if line > 0 {
		place.Region = &sarifRegion{line, column}
	}
	return place
}

func fingerprint(parts ...string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(parts, "\x00"))))[:32]
}
