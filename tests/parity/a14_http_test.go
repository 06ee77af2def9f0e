package parity

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestHTTP(t *testing.T) { runSection(t, httpScripts) }

var httpScripts = []Script{
	{Name: "A14.1_health", Run: func(ctx context.Context, s *Session) {
		for _, path := range []string{"/health", "/health?serializable=true", "/health?serializable=nonsense", "/health?exclude=NOSPACE", "/health?exclude="} {
			s.HTTP("GET", path, "")
		}
		s.HTTP("POST", "/health", "")
		s.HTTP("PUT", "/health", "")
		s.HTTP("HEAD", "/health", "")
		alarm(ctx, s, pb.AlarmRequest_ACTIVATE, pb.AlarmType_CORRUPT)
		s.HTTP("GET", "/health", "")
		s.HTTP("GET", "/health?exclude=NOSPACE", "")
		s.HTTP("GET", "/health?exclude=CORRUPT", "")
		s.HTTP("GET", "/health?exclude=NOSPACE&exclude=CORRUPT", "")
	}},
	{Name: "A14.2_livez_and_readyz", Run: func(ctx context.Context, s *Session) {
		s.httpChecks()
		s.HTTP("POST", "/livez", "")
		s.HTTP("GET", "/livez/nonsense", "")
		s.HTTP("GET", "/readyz/", "")
		alarm(ctx, s, pb.AlarmRequest_ACTIVATE, pb.AlarmType_CORRUPT)
		s.httpChecks()
	}},
	{Name: "A14.3_version", Run: func(_ context.Context, s *Session) {
		s.HTTP("GET", "/version", "")
		s.HTTP("POST", "/version", "")
	}},
	{Name: "A14.4_metrics_and_others", Run: func(_ context.Context, s *Session) {
		status, body := s.Fetch("/metrics")
		s.Note("metrics %d, text with help: %v", status, strings.HasPrefix(body, "# HELP "))
		for _, path := range []string{"/", "/nonsense", "/debug/pprof/", "/v2/keys", "/v3/nonsense", "/v3alpha/kv/range", "/health/"} {
			s.HTTP("GET", path, "")
		}
	}},
	{Name: "A14.4b_metrics_listener", Options: Options{Flags: []string{"--listen-metrics-urls", "http://127.0.0.1:METRICS_PORT"}}, Run: func(_ context.Context, s *Session) {
		for _, path := range []string{"/health", "/livez", "/readyz", "/version", "/v3/kv/range"} {
			s.HTTPAt("http://127.0.0.1:"+s.Server.MetricsPort, "GET", path, "")
		}
		s.HTTP("GET", "/health", "")
		status, _ := s.Fetch("/metrics")
		s.Note("metrics on the client port: %d", status)
	}},
	{Name: "A14.6_cors", Options: Options{Flags: []string{"--cors", "http://example.com:8080"}}, Run: func(_ context.Context, s *Session) {
		s.HTTP("GET", "/health", "")
		s.HTTP("OPTIONS", "/v3/kv/range", "")
	}},
	{Name: "A14.6b_cors_other_origin", Options: Options{Flags: []string{"--cors", "http://elsewhere.example:8080"}}, Run: func(_ context.Context, s *Session) {
		s.HTTP("GET", "/health", "")
		s.HTTP("OPTIONS", "/health", "")
	}},
	{Name: "A14.6c_host_whitelist", Options: Options{Flags: []string{"--host-whitelist", "good.example,127.0.0.1"}}, Run: func(_ context.Context, s *Session) {
		s.HTTP("GET", "/version", "")
		s.HTTPHost("good.example", "/version")
		s.HTTPHost("evil.example", "/version")
		s.Put("a", "1")
	}},
}

// httpChecks asks for the health checks in every form; their order is chance.
func (s *Session) httpChecks() {
	for _, path := range []string{"/livez", "/readyz", "/livez/serializable_read", "/readyz/data_corruption",
		"/readyz/serializable_read", "/readyz/linearizable_read", "/readyz/non_learner",
		"/readyz?exclude=data_corruption", "/livez?exclude=serializable_read", "/readyz?exclude=nonsense",
		"/livez?verbose", "/readyz?verbose", "/readyz?verbose&exclude=linearizable_read", "/livez/serializable_read?verbose"} {
		s.HTTP("GET", path, "")
	}
}

func TestGateway(t *testing.T) { runSection(t, gatewayScripts) }

// post is a call through the JSON gateway.
type post struct{ path, body string }

func posts(list ...post) func(context.Context, *Session) {
	return func(_ context.Context, s *Session) {
		for _, p := range list {
			s.HTTP("POST", "/v3/"+p.path, p.body)
		}
	}
}

var gatewayScripts = []Script{
	{Name: "A14.5_gateway_kv", Run: posts(
		post{"kv/put", `{"key":"YQ==","value":"MQ=="}`},
		post{"kv/put", `{"key":"YQ==","value":"Mg==","prev_kv":true}`},
		post{"kv/put", `{"key":"YQ==","value":"Mw==","prevKv":true}`},
		post{"kv/put", `{}`},
		post{"kv/put", `{"key":"YQ==","lease":"99"}`},
		post{"kv/range", `{"key":"YQ=="}`},
		post{"kv/range", `{"key":"AA==","range_end":"AA==","sort_order":"DESCEND","sort_target":"MOD","limit":"1"}`},
		post{"kv/range", `{"key":"YQ==","revision":"99"}`},
		post{"kv/range", `{"key":"YQ==","revision":2,"serializable":true}`},
		post{"kv/range", `{"key":"eg==","unknown":1}`},
		post{"kv/txn", `{"compare":[{"key":"YQ==","target":"VERSION","version":"3"}],"success":[{"request_put":{"key":"Yg=="}},{"request_range":{"key":"YQ=="}}],"failure":[{"request_delete_range":{"key":"YQ=="}}]}`},
		post{"kv/txn", `{"success":[{"request_txn":{"success":[{"requestRange":{"key":"YQ=="}}]}}]}`},
		post{"kv/txn", `{}`},
		post{"kv/deleterange", `{"key":"YQ==","prev_kv":true}`},
		post{"kv/deleterange", `{"key":"YQ=="}`},
		post{"kv/compaction", `{"revision":"3"}`},
		post{"kv/compaction", `{"revision":"2"}`},
		post{"kv/compaction", `{"revision":"200","physical":true}`},
	)},
	{Name: "A14.5b_gateway_lease", Run: posts(
		post{"lease/grant", `{"ID":"7","TTL":"1000"}`},
		post{"lease/grant", `{"ID":"7","TTL":"1000"}`},
		post{"lease/grant", `{"TTL":"90000000000"}`},
		post{"lease/keepalive", `{"ID":"7"}`},
		post{"lease/keepalive", `{"ID":"99"}`},
		post{"lease/timetolive", `{"ID":"99"}`},
		post{"lease/leases", `{}`},
		post{"lease/revoke", `{"ID":"7"}`},
		post{"lease/revoke", `{"ID":"7"}`},
	)},
	{Name: "A14.5c_gateway_cluster_and_maintenance", Run: posts(
		post{"cluster/member/list", `{}`},
		post{"cluster/member/list", `{"linearizable":true}`},
		post{"cluster/member/remove", `{"ID":"12345"}`},
		post{"cluster/member/promote", `{"ID":"12345"}`},
		post{"cluster/member/update", `{"ID":"12345","peerURLs":["http://127.0.0.1:1"]}`},
		post{"cluster/member/add", `{"peerURLs":[]}`},
		post{"maintenance/alarm", `{}`},
		post{"maintenance/alarm", `{"action":"DEACTIVATE","alarm":"NOSPACE"}`},
		post{"maintenance/status", `{}`},
		post{"maintenance/defragment", `{}`},
		post{"maintenance/hash", `{}`},
		post{"maintenance/hashkv", `{"revision":"0"}`},
		post{"maintenance/transfer-leadership", `{"targetID":"12345"}`},
		post{"auth/status", `{}`},
		post{"auth/authenticate", `{"name":"root"}`},
	)},
	{Name: "A14.5d_gateway_watch", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Put("a", "2")
		s.Delete("a")
		s.HTTPLines("/v3/watch", `{"create_request":{"key":"YQ==","start_revision":"2","prev_kv":true}}`, 2)
		s.HTTPLines("/v3/watch", `{"create_request":{"key":"Yg==","range_end":"YQ=="}}`, 1)
		s.HTTPLines("/v3/watch", `{"create_request":{"key":"YQ==","watch_id":"5","filters":["NOPUT"]}}`, 1)
	}},
	{Name: "A14.5e_gateway_snapshot", Run: func(_ context.Context, s *Session) {
		response, err := s.roundTrip("POST", s.Server.URL()+"/v3/maintenance/snapshot", "{}")
		if err != nil {
			s.Fail("snapshot: %v", err)
		}
		defer response.Body.Close()
		var line struct{ Result map[string]any }
		err = json.NewDecoder(response.Body).Decode(&line)
		s.Note("status %d blob %v version %v %v", response.StatusCode, line.Result["blob"] != nil, line.Result["version"], err)
	}},
	{Name: "A14.5f_gateway_lock_and_election", Run: posts(
		post{"lease/grant", `{"ID":"7","TTL":"1000"}`},
		post{"lock/lock", `{"name":"bXV0ZXg=","lease":"7"}`},
		post{"lock/unlock", `{"key":"bXV0ZXgvNw=="}`},
		post{"election/leader", `{"name":"b2ZmaWNl"}`},
		post{"election/campaign", `{"name":"b2ZmaWNl","lease":"7","value":"bWU="}`},
		post{"election/leader", `{"name":"b2ZmaWNl"}`},
		post{"election/proclaim", `{"leader":{"name":"b2ZmaWNl","key":"b2ZmaWNlLzc=","rev":"4","lease":"7"},"value":"eW91"}`},
		post{"election/resign", `{"leader":{"name":"b2ZmaWNl","key":"b2ZmaWNlLzc=","rev":"4","lease":"7"}}`},
		post{"election/resign", `{}`},
	)},
	{Name: "A14.5g_gateway_refusals", Run: func(_ context.Context, s *Session) {
		for _, body := range []string{"", "nonsense", "[]", `{"key":7}`, `{"key":"not base64!"}`, `{"limit":"x"}`, `{"key":"YQ=="`, `{"sort_order":"SIDEWAYS"}`} {
			s.HTTPRefusal("POST", "/v3/kv/range", body)
		}
		s.HTTP("GET", "/v3/kv/range", "")
		s.HTTP("PUT", "/v3/kv/range", "{}")
		s.HTTP("POST", "/v3/nonsense", "{}")
		s.HTTP("POST", "/v3/", "{}")
		s.HTTP("POST", "/v3/kv/range/", "{}")
		s.HTTP("POST", "/v3beta/kv/range", `{"key":"YQ=="}`)
	}},
}
