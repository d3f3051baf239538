// The reference the crate is compared with: Go's own text/template.
//
// It reads one JSON object a line ({"template": "...", and optionally "failure",
// "config", "stdout_url", "stderr_url"}), executes the template over the data a
// notification sees, and writes the object back with "want", or with
// "error_stage" and "go_error".
//
//	TZ=UTC go run reference.go < cases.jsonl > answers.jsonl
//
// The answers kept in ../data were made with Go 1.19.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/template"
	"time"
)

// Failure is what templates know as .failure.
type Failure struct {
	ID        string
	Name      string
	Slave     string
	Framework string
	Image     string
	State     string
	Started   time.Time
	Finished  time.Time
	Labels    map[string]string
}

func (f Failure) String() string {
	return fmt.Sprintf("%s (%s) from %s", f.Name, f.ID, f.Slave)
}

type failureInput struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Slave     string            `json:"slave"`
	Framework string            `json:"framework"`
	Image     string            `json:"image"`
	State     string            `json:"state"`
	Started   int64             `json:"started_unix"`
	Finished  int64             `json:"finished_unix"`
	Labels    map[string]string `json:"labels"`
}

type testCase struct {
	Name     string            `json:"name,omitempty"`
	Template string            `json:"template"`
	Failure  *failureInput     `json:"failure,omitempty"`
	Config   map[string]string `json:"config,omitempty"`
	Stdout   *string           `json:"stdout_url,omitempty"`
	Stderr   *string           `json:"stderr_url,omitempty"`
	Want     *string           `json:"want,omitempty"`
	Stage    string            `json:"error_stage,omitempty"`
	Error    string            `json:"go_error,omitempty"`
}

// The data of a line that brings none; tests/support knows the same.
var (
	defaultFailure = failureInput{
		ID: "foo.bar.1", Name: "näme <b>&\"q\"", Slave: "host-1", Framework: "marathon", Image: "", State: "TASK_FAILED",
		Started: 1466138472, Finished: 1466142079, Labels: map[string]string{"a": "1", "empty": "", "team": "core <x>", "λ": "v"},
	}
	defaultConfig = map[string]string{"mentions": "<@dev> & \"all\"", "room": "42"}
	defaultStdout = "http://host/files?path=/a&b=1"
	defaultStderr = ""
)

func run(c *testCase) {
	failure, config, stdout, stderr := defaultFailure, defaultConfig, defaultStdout, defaultStderr
	if c.Failure != nil {
		failure = *c.Failure
	}
	if c.Config != nil {
		config = c.Config
	}
	if c.Stdout != nil {
		stdout = *c.Stdout
	}
	if c.Stderr != nil {
		stderr = *c.Stderr
	}
	lookup := func(key string) string { return config[key] }
	data := map[string]interface{}{
		"nl":     "\n",
		"config": lookup,
		"failure": Failure{
			failure.ID, failure.Name, failure.Slave, failure.Framework, failure.Image, failure.State,
			time.Unix(failure.Started, 0), time.Unix(failure.Finished, 0), failure.Labels,
		},
		"stdoutURL": stdout,
		"stderrURL": stderr,
	}
	c.Want, c.Stage, c.Error = nil, "", ""
	defer func() {
		if r := recover(); r != nil {
			c.Want, c.Stage, c.Error = nil, "execute", fmt.Sprint("panic: ", r)
		}
	}()
	t, err := template.New("").Funcs(template.FuncMap{"config": lookup}).Parse(c.Template)
	if err != nil {
		c.Stage, c.Error = "parse", err.Error()
		return
	}
	var out strings.Builder
	if err := t.Execute(&out, data); err != nil {
		c.Stage, c.Error = "execute", err.Error()
		return
	}
	text := out.String()
	c.Want = &text
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 1 {
			var c testCase
			if e := json.Unmarshal(line, &c); e != nil {
				fmt.Fprintln(os.Stderr, "bad line:", e)
				os.Exit(1)
			}
			run(&c)
			if e := enc.Encode(&c); e != nil {
				fmt.Fprintln(os.Stderr, e)
				os.Exit(1)
			}
		}
		if err != nil {
			return
		}
	}
}
