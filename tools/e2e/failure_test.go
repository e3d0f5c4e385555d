package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/ft-services/ft-services/tools/e2e/internal/ask"
	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
	"github.com/ft-services/ft-services/tools/e2e/internal/standin"
)

func failureChecks() []check {
	return []check{
		{"R13 G3", "a server that is killed comes back alone", killed},
		{"R13 G3", "Grafana comes back alone when it is killed", grafanaKilled},
		{"R13 B4", "a server that hangs is restarted by its liveness probe", stopped},
		{"R12", "no acknowledged write is lost while the databases are killed", acknowledgedWrites},
	}
}

// process is a server as people name it to pkill: service/name.
type process string

func (p process) service() string { return strings.Split(string(p), "/")[0] }
func (p process) name() string    { return strings.Split(string(p), "/")[1] }

// container is the one that the process is alone in.
func (p process) container() string {
	switch p.name() {
	case "nginx":
		return "nginx"
	case "telegraf":
		return map[string]string{"ftps": "metrics", "telegraf": "telegraf"}[p.service()]
	}
	return p.service()
}

// together runs parts of a check side by side.
func (t *test) together(parts map[string]func(*test)) {
	var all sync.WaitGroup
	for name, part := range parts {
		all.Go(func() { t.Run(name, func(sub *testing.T) { part(&test{T: sub, bench: t.bench, ctx: t.ctx}) }) })
	}
	all.Wait()
}

// later cleans up when the check has ended, also after an interrupt.
func (t *test) later(clean func(*test)) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		clean(&test{T: t.T, bench: t.bench, ctx: ctx})
	})
}

// restarts counts for each container of a pod.
func restarts(pod *corev1.Pod) map[string]int32 {
	counts := map[string]int32{}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		counts[status.Name] = status.RestartCount
	}
	return counts
}

// fresh replaces the pods of services that have crashed: the kubelet lets each further crash of a container wait
// longer, and earlier checks must not count.
func (t *test) fresh(services ...string) {
	t.Helper()
	remove := []string{"delete", "pod"}
	for _, service := range services {
		pod, err := t.stack.Pod(t.Context(), service)
		require.NoError(t, err)
		if stack.Restarts(pod) > 0 {
			remove = append(remove, pod.Name)
		}
	}
	if len(remove) > 2 {
		t.kubectl(remove...)
	}
	t.waitReady(2*time.Minute, services...)
}

// serves asks a service from outside; whether one that is only inside serves, its readiness probe says.
func (t *test) serves(ctx context.Context, service string) error {
	if err := t.stack.Ready(ctx, service); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	page, ok := map[string]string{
		"nginx": t.stack.URL("https", 443, "/"), "wordpress": t.stack.URL("https", 5050, "/"),
		"phpmyadmin": t.stack.URL("https", 5000, "/"), "grafana": t.stack.URL("https", 3000, "/login"),
	}[service]
	if ok {
		answer, err := stack.Get(ctx, t.stack.Browser(), page)
		if err == nil && answer.Code != 200 {
			err = fmt.Errorf("%s answers %d", service, answer.Code)
		}
		return err
	}
	if service == "ftps" {
		_, err := t.alice(ctx, "", "--list-only")
		return err
	}
	return nil
}

// hit sends a signal as people type it, waits until the server serves again, and returns how long that took. Only its
// own container may have been restarted, once.
func (t *test) hit(p process, bound time.Duration, flags ...string) time.Duration {
	t.Helper()
	found, err := t.exec(p.service(), "pgrep", "-x", p.name())
	require.NoError(t, err, "%s bears its name", p)
	require.NotContains(t, strings.Fields(found), "1", "process 1 cannot be killed")
	before, err := t.stack.Pod(t.Context(), p.service())
	require.NoError(t, err)
	want := restarts(before)
	want[p.container()]++

	begun := time.Now()
	// It may itself end with the container that it runs in.
	_, err = t.exec(p.service(), append(append([]string{"pkill"}, flags...), p.name())...)
	var after *corev1.Pod
	waited := stack.Until(t.Context(), string(p)+" to be restarted and to serve", bound, 200*time.Millisecond, func(ctx context.Context) error {
		var err error
		if after, err = t.stack.Pod(ctx, p.service()); err != nil {
			return err
		}
		if now := restarts(after)[p.container()]; now < want[p.container()] {
			return fmt.Errorf("container %s was restarted %d times", p.container(), now)
		}
		return t.serves(ctx, p.service())
	})
	took := time.Since(begun)
	require.NoError(t, waited, "pkill: %v", err)
	assert.Equal(t, before.UID, after.UID, "%s: its pod is the same", p)
	assert.Equal(t, want, restarts(after), "%s: its container was restarted, once, and no other", p)
	return took
}

func (t *test) kill(processes ...process) {
	t.Helper()
	for _, p := range processes {
		for _, signal := range []string{"TERM", "KILL"} {
			t.fresh(p.service())
			var flags []string
			if signal == "KILL" {
				flags = []string{"-9"}
			}
			took := t.hit(p, time.Minute, flags...)
			t.report.Measure("Recovery", string(p)+" "+signal, seconds(took))
		}
	}
}

// killed has those side by side that do not need one another.
func killed(t *test) {
	t.waitReady(2 * time.Minute)
	t.together(map[string]func(*test){
		"public":     func(t *test) { t.kill("nginx/nginx", "ftps/proftpd", "ftps/telegraf") },
		"wordpress":  func(t *test) { t.kill("wordpress/nginx", "wordpress/php-fpm", "mysql/mysqld") },
		"phpmyadmin": func(t *test) { t.kill("phpmyadmin/nginx", "phpmyadmin/php-fpm") },
		// Telegraf is Ready only when InfluxDB has taken something from it.
		"metrics": func(t *test) {
			t.together(map[string]func(*test){
				"influxdb": func(t *test) { t.kill("influxdb/influxd") },
				"fresh":    func(t *test) { t.fresh("telegraf") },
			})
			t.kill("telegraf/telegraf")
		},
	})
}

func grafanaKilled(t *test) {
	t.needGrafana()
	t.kill("grafana/grafana")
}

func stopped(t *test) {
	t.waitReady(2 * time.Minute)
	stop := func(processes ...process) func(*test) {
		return func(t *test) {
			for _, p := range processes {
				t.fresh(p.service())
				took := t.hit(p, 2*time.Minute, "-STOP")
				t.report.Measure("Recovery after SIGSTOP", string(p), seconds(took))
			}
		}
	}
	t.together(map[string]func(*test){
		"nginx":     stop("nginx/nginx"),
		"ftps":      stop("ftps/proftpd"),
		"wordpress": stop("mysql/mysqld", "wordpress/php-fpm"),
		"influxdb":  stop("influxdb/influxd"),
		"telegraf":  stop("telegraf/telegraf"),
	})
}

// database is one whose promises are tested: where a write goes, and which numbers are there afterwards.
type database struct {
	process process
	command string
	request ask.Request
	numbers func(*test, *standin.Pod) []int
}

// acknowledgedWrites crashes the databases, and deletes their pods without any grace, while somebody writes.
func acknowledgedWrites(t *test) {
	t.waitReady(2 * time.Minute)
	table := fmt.Sprintf("e2e_writes_%d", time.Now().Unix())
	writers := t.standIns("wordpress", "telegraf")

	rows := ask.Request{
		Address: "mysql:3306", Database: "wordpress", Table: table, Pause: 10 * time.Millisecond,
		User: t.secret("mysql-wordpress", "username"), Password: t.secret("mysql-wordpress", "password"),
	}
	t.sql(writers["wordpress"], "CREATE TABLE "+table+" (number INT PRIMARY KEY)")
	t.later(func(t *test) {
		t.waitReady(time.Minute, "mysql")
		t.sql(writers["wordpress"], "DROP TABLE "+table)
	})
	points := ask.Request{
		URL: "http://influxdb:8086/write?db=telegraf", Table: table, Pause: 10 * time.Millisecond,
		User: t.secret("influxdb-writer", "username"), Password: t.secret("influxdb-writer", "password"),
	}
	t.later(func(t *test) {
		t.waitReady(time.Minute, "influxdb")
		t.drop(writers["telegraf"], table)
	})

	crash := func(d database, writer *standin.Pod) func(*test) {
		return func(t *test) {
			t.fresh(d.process.service())
			w, err := writer.Write(t.Context(), d.command, d.request)
			require.NoError(t, err)
			goesOn := func() {
				t.Helper()
				before, _, _ := w.Acknowledged()
				t.eventually(time.Minute, func(c *assert.CollectT) {
					now, _, last := w.Acknowledged()
					assert.Greater(c, now, before+50, "writes to %s go on; the last failed with: %s", d.process.service(), last)
				})
			}
			goesOn()
			for range 2 {
				t.hit(d.process, 2*time.Minute, "-9")
				goesOn()
			}
			pod, err := t.stack.Pod(t.Context(), d.process.service())
			require.NoError(t, err)
			t.kubectl("delete", "pod", "--grace-period=0", "--force", pod.Name)
			t.waitReady(2*time.Minute, d.process.service())
			goesOn()
			t.hit(d.process, 2*time.Minute, "-9")
			goesOn()
			acknowledged, err := w.Stop()
			require.NoError(t, err)
			_, failed, _ := w.Acknowledged()
			assert.NotZero(t, failed, "the crashes were felt")
			there := map[int]bool{}
			for _, number := range d.numbers(t, writer) {
				there[number] = true
			}
			lost := slices.DeleteFunc(acknowledged, func(number int) bool { return there[number] })
			t.report.Measure("Writes while a database crashes", d.process.service()+" acknowledged", fmt.Sprint(len(acknowledged)))
			t.report.Measure("Writes while a database crashes", d.process.service()+" failed", fmt.Sprint(failed))
			t.report.Measure("Writes while a database crashes", d.process.service()+" acknowledged and lost", fmt.Sprint(len(lost)))
			assert.Empty(t, lost, "numbers that %s acknowledged and lost", d.process.service())
		}
	}
	t.together(map[string]func(*test){
		"mysql": crash(database{"mysql/mysqld", "write-sql", rows, func(t *test, from *standin.Pod) []int {
			var numbers []int
			for _, row := range t.sql(from, "SELECT number FROM "+table) {
				number, err := strconv.Atoi(row[0])
				require.NoError(t, err)
				numbers = append(numbers, number)
			}
			return numbers
		}}, writers["wordpress"]),
		"influxdb": crash(database{"influxdb/influxd", "write-points", points, func(t *test, from *standin.Pod) []int {
			return t.points(from, table)
		}}, writers["telegraf"]),
	})
}
