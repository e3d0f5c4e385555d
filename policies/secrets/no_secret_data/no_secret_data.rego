# METADATA
# title: No Secret is written down
# description: |
#   What is in git is known to everybody who ever sees the repository, and base64 hides nothing. A
#   Secret with content is refused, unless SOPS has encrypted every value of it. Kinds that hold
#   encrypted content or point to it (SealedSecret, ExternalSecret) are no Secrets.
# related_resources:
#   - https://kubernetes.io/docs/concepts/security/secrets-good-practices/
#   - https://fluxcd.io/flux/guides/mozilla-sops/
# custom:
#   requirements: [G12]
#   severity: error
#   remediation: |
#     Remove the Secret, let `credentials` make it in the cluster, and change what was in it: it is
#     known. To keep it in git, encrypt it with SOPS or as a SealedSecret.
package policies.secrets.no_secret_data

import data.policies.lib.kubernetes

# The value itself is not repeated.
deny contains result if {
	input.kind == "Secret"
	some field in ["data", "stringData"]
	some key, value in input[field]
	not _is_encrypted(value)
	result := {
		"msg": sprintf("%s holds %s for everybody to read", [kubernetes.describe(input), key]),
		"path": [field, key],
	}
}

# SOPS keeps its message authentication code beside the values it encrypts.
_is_encrypted(value) if {
	startswith(input.sops.mac, "ENC[")
	regex.match(`^ENC\[AES256_GCM,data:[^\]]*\]$`, value)
}
