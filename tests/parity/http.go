package parity

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"
)

// shownHeaders are the response headers that a client may rely on.
var shownHeaders = []string{"Content-Type", "Allow", "Access-Control-Allow-Origin", "Access-Control-Allow-Methods",
	"Access-Control-Allow-Headers", "X-Content-Type-Options"}

// HTTP makes a request on the client port and records status, headers and body.
func (s *Session) HTTP(method, path, body string) { s.HTTPAt(s.Server.URL(), method, path, body) }

// HTTPAt is HTTP on another listener.
func (s *Session) HTTPAt(base, method, path, body string) {
	s.recorder.line("> %s %s %s", method, path, body)
	s.recordHTTP(s.roundTrip(method, base+path, body))
}

// HTTPHost makes a GET request under another host name and records the status: the text of
// a refusal is for people.
func (s *Session) HTTPHost(host, path string) {
	s.recorder.line("> GET %s of %s", path, host)
	request, err := s.newRequest("GET", s.Server.URL()+path, "")
	if err != nil {
		s.Fail("request: %v", err)
	}
	request.Host = host
	response, err := s.do(request)
	if err != nil {
		s.Fail("GET %s of %s: %v", path, host, err)
	}
	defer response.Body.Close()
	s.recorder.line("< %d", response.StatusCode)
}

func (s *Session) recordHTTP(response *http.Response, err error) {
	if err != nil {
		s.recorder.line("! %s", s.Names.Text(err.Error()))
		return
	}
	defer response.Body.Close()
	s.recordHead(response)
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		s.recorder.line("! body: %v", err)
	}
	s.recorder.line("%s", renderBody(s.Names, raw))
}

// HTTPLines is HTTP for a stream: it records the first lines and hangs up.
func (s *Session) HTTPLines(path, body string, lines int) {
	s.recorder.line("> POST %s %s", path, body)
	response, err := s.roundTrip("POST", s.Server.URL()+path, body)
	if err != nil {
		s.recorder.line("! %s", s.Names.Text(err.Error()))
		return
	}
	defer response.Body.Close()
	s.recordHead(response)
	scanner := bufio.NewScanner(response.Body)
	for range lines {
		if !scanner.Scan() {
			s.recorder.line("! stream ended: %v", scanner.Err())
			return
		}
		s.recorder.line("%s", renderBody(s.Names, scanner.Bytes()))
	}
}

// HTTPRefusal records only the status and the gRPC code of a refusal: its text comes
// from the parser of the language.
func (s *Session) HTTPRefusal(method, path, body string) {
	s.recorder.line("> %s %s %s", method, path, body)
	response, err := s.roundTrip(method, s.Server.URL()+path, body)
	if err != nil {
		s.Fail("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	var refusal struct{ Code int }
	_ = json.NewDecoder(response.Body).Decode(&refusal)
	s.recorder.line("< %d code %d", response.StatusCode, refusal.Code)
}

// Fetch makes a GET request without recording it.
func (s *Session) Fetch(path string) (int, string) {
	response, err := s.roundTrip("GET", s.Server.URL()+path, "")
	if err != nil {
		s.Fail("GET %s: %v", path, err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fail("GET %s: %v", path, err)
	}
	return response.StatusCode, string(raw)
}

func (s *Session) roundTrip(method, url, body string) (*http.Response, error) {
	request, err := s.newRequest(method, url, body)
	if err != nil {
		return nil, err
	}
	return s.do(request)
}

func (s *Session) newRequest(method, url, body string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(s.ctx, method, url, strings.NewReader(body))
	if err == nil {
		request.Header.Set("Origin", "http://example.com:8080")
	}
	return request, err
}

func (s *Session) do(request *http.Request) (*http.Response, error) {
	transport := &http.Transport{TLSClientConfig: s.Server.TLS(), DisableKeepAlives: true}
	return (&http.Client{Transport: transport, Timeout: callTimeout}).Do(request)
}

func (s *Session) recordHead(response *http.Response) {
	s.recorder.line("< %d", response.StatusCode)
	for _, name := range shownHeaders {
		if value := response.Header.Get(name); value != "" {
			s.recorder.line("  %s: %s", name, value)
		}
	}
}

// renderBody shows JSON field by field, sorted by name; anything else as quoted text.
func renderBody(n *Names, raw []byte) string {
	var value any
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	err := decoder.Decode(&value)
	if _, isNumber := value.(json.Number); err != nil || isNumber || decoder.More() {
		return renderText(n, string(raw))
	}
	var text strings.Builder
	renderJSON(&text, n, "", value, "  ")
	return strings.TrimSuffix(text.String(), "\n")
}

// renderText shows a text line by line; the lines of health checks ("[+]name ok"), whose
// order is chance, are sorted.
func renderText(n *Names, body string) string {
	lines := strings.SplitAfter(n.Text(body), "\n")
	sort.SliceStable(lines, func(i, j int) bool {
		return strings.HasPrefix(lines[i], "[") && strings.HasPrefix(lines[j], "[") && lines[i] < lines[j]
	})
	for i, line := range lines {
		lines[i] = "  " + strconv.Quote(line)
	}
	return strings.Join(lines, "\n")
}

// normalisedJSON lists the JSON fields that are not compared literally; the same
// fields as in normalised, by the names that the gateway gives them.
var normalisedJSON = map[string]func(*Names, string) string{
	"cluster_id":       internedText("cluster"),
	"member_id":        internedText("member"),
	"memberID":         internedText("member"),
	"leader":           internedText("member"),
	"ID":               largeIDs,
	"raft_term":        setText,
	"raftTerm":         setText,
	"raftIndex":        setText,
	"raftAppliedIndex": setText,
	"dbSize":           setText,
	"dbSizeInUse":      setText,
	"remaining_bytes":  setText,
	"hash":             setText,
	"took":             setText,
	"version":          func(_ *Names, text string) string { return withoutPatch(text) },
	"etcdserver":       func(_ *Names, text string) string { return withoutPatch(text) },
}

func internedText(kind string) func(*Names, string) string {
	return func(n *Names, text string) string {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return text
		}
		return n.Intern(kind, id)
	}
}

// largeIDs names ids that a server chose; a script's own ids are small.
func largeIDs(n *Names, text string) string {
	if len(text) < 10 {
		return text
	}
	if id, err := strconv.ParseUint(text, 10, 64); err == nil {
		if name, known := n.Known("member", id); known {
			return name
		}
	}
	return internedText("id")(n, text)
}

func setText(_ *Names, text string) string {
	if text == "0" {
		return text
	}
	return "<set>"
}

func renderJSON(text *strings.Builder, n *Names, name string, value any, indent string) {
	switch typed := value.(type) {
	case map[string]any:
		fmt.Fprintf(text, "%s%s{\n", indent, name)
		for _, key := range sortedKeys(typed) {
			renderJSON(text, n, key, typed[key], indent+"  ")
		}
		fmt.Fprintf(text, "%s}\n", indent)
	case []any:
		fmt.Fprintf(text, "%s%s[\n", indent, name)
		text.WriteString(renderList(n, name, typed, indent+"  "))
		fmt.Fprintf(text, "%s]\n", indent)
	default:
		fmt.Fprintf(text, "%s%s: %s\n", indent, name, jsonScalar(n, name, typed))
	}
}

// renderList keeps the order of a list, but for lists of members, which come in the order
// of the ids that the server chose: those are sorted by what they show.
func renderList(n *Names, name string, list []any, indent string) string {
	var items []string
	for _, item := range list {
		var text strings.Builder
		renderJSON(&text, n, name, item, indent)
		items = append(items, text.String())
	}
	if name == "members" || name == "" {
		sort.Strings(items)
	}
	return strings.Join(items, "")
}

func jsonScalar(n *Names, name string, value any) string {
	switch typed := value.(type) {
	case string:
		if rule, listed := normalisedJSON[name]; listed {
			return strconv.Quote(rule(n, typed))
		}
		return strconv.Quote(n.Text(typed))
	case json.Number:
		if rule, listed := normalisedJSON[name]; listed {
			return rule(n, typed.String())
		}
	}
	return fmt.Sprint(value)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
