package parity

import (
	"crypto/sha256"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// longBytes is the length from which a value is shown by its length and hash.
const longBytes = 160

// normalised lists every field whose value is not compared literally. A field that
// is not listed here must be equal on both servers. Unset fields never are printed,
// so set against unset always is a difference.
var normalised = map[protoreflect.FullName]func(*Names, protoreflect.Value) string{
	"etcdserverpb.ResponseHeader.cluster_id": interned("cluster"),
	"etcdserverpb.ResponseHeader.member_id":  interned("member"),
	"etcdserverpb.ResponseHeader.raft_term":  onlySet,

	"etcdserverpb.StatusResponse.version":          minorVersion,
	"etcdserverpb.StatusResponse.leader":           interned("member"),
	"etcdserverpb.StatusResponse.raftIndex":        onlySet,
	"etcdserverpb.StatusResponse.raftTerm":         onlySet,
	"etcdserverpb.StatusResponse.raftAppliedIndex": onlySet,
	"etcdserverpb.StatusResponse.dbSize":           onlySet,
	"etcdserverpb.StatusResponse.dbSizeInUse":      onlySet,
	"etcdserverpb.StatusResponse.errors":           singleSpaced,
	"etcdserverpb.HashResponse.hash":               interned("hash of all"),
	"etcdserverpb.HashKVResponse.hash":             interned("hash"),

	"etcdserverpb.Member.ID":                  interned("member"),
	"etcdserverpb.AlarmMember.memberID":       ifKnown("member"),
	"etcdserverpb.AlarmRequest.memberID":      ifKnown("member"),
	"etcdserverpb.MoveLeaderRequest.targetID": ifKnown("member"),
	"etcdserverpb.MemberRemoveRequest.ID":     ifKnown("member"),
	"etcdserverpb.MemberUpdateRequest.ID":     ifKnown("member"),
	"etcdserverpb.MemberPromoteRequest.ID":    ifKnown("member"),

	"mvccpb.KeyValue.lease":                    ifKnown("lease"),
	"etcdserverpb.PutRequest.lease":            ifKnown("lease"),
	"etcdserverpb.Compare.lease":               ifKnown("lease"),
	"etcdserverpb.LeaseGrantResponse.ID":       ifKnown("lease"),
	"etcdserverpb.LeaseRevokeRequest.ID":       ifKnown("lease"),
	"etcdserverpb.LeaseKeepAliveRequest.ID":    ifKnown("lease"),
	"etcdserverpb.LeaseKeepAliveResponse.ID":   ifKnown("lease"),
	"etcdserverpb.LeaseTimeToLiveRequest.ID":   ifKnown("lease"),
	"etcdserverpb.LeaseTimeToLiveResponse.ID":  ifKnown("lease"),
	"etcdserverpb.LeaseTimeToLiveResponse.TTL": remaining,
	"etcdserverpb.LeaseStatus.ID":              ifKnown("lease"),
	"v3lockpb.LockRequest.lease":               ifKnown("lease"),
	"v3electionpb.CampaignRequest.lease":       ifKnown("lease"),
	"v3electionpb.LeaderKey.lease":             ifKnown("lease"),
}

// unordered lists the repeated fields whose order is chance.
var unordered = map[protoreflect.FullName]bool{
	"etcdserverpb.LeaseTimeToLiveResponse.keys": true,
	// In the order of the ids, which the server chose.
	"etcdserverpb.MemberListResponse.members":    true,
	"etcdserverpb.MemberAddResponse.members":     true,
	"etcdserverpb.MemberRemoveResponse.members":  true,
	"etcdserverpb.MemberUpdateResponse.members":  true,
	"etcdserverpb.MemberPromoteResponse.members": true,
}

// unorderedOnFollowers lists the fields whose order etcd knows only on the leader: leases
// never expire on a follower, so that it cannot order them by their expiry.
var unorderedOnFollowers = map[protoreflect.FullName]bool{
	"etcdserverpb.LeaseLeasesResponse.leases": true,
}

func interned(kind string) func(*Names, protoreflect.Value) string {
	return func(n *Names, v protoreflect.Value) string { return n.Intern(kind, bits(v)) }
}

func ifKnown(kind string) func(*Names, protoreflect.Value) string {
	return func(n *Names, v protoreflect.Value) string {
		if name, known := n.Known(kind, bits(v)); known {
			return name
		}
		return v.String()
	}
}

// singleSpaced evens out the blanks that Go's protobuf puts at random into texts.
func singleSpaced(n *Names, v protoreflect.Value) string {
	return strconv.Quote(n.Text(strings.Join(strings.Fields(v.String()), " ")))
}

func onlySet(*Names, protoreflect.Value) string { return "<set>" }

func minorVersion(_ *Names, v protoreflect.Value) string {
	return strconv.Quote(withoutPatch(v.String()))
}

// remaining hides how much of a lease is left, but not that it is unknown (-1).
func remaining(_ *Names, v protoreflect.Value) string {
	if v.Int() < 0 {
		return v.String()
	}
	return "<remaining>"
}

func bits(v protoreflect.Value) uint64 {
	switch number := v.Interface().(type) {
	case int64:
		return uint64(number)
	case uint64:
		return number
	case uint32:
		return uint64(number)
	}
	panic(fmt.Sprintf("not an id: %v", v))
}

// Render writes a message as stable text: fields in the order of their numbers, one a
// line, nested messages indented, unknown fields shown.
func Render(n *Names, message proto.Message) string {
	var text strings.Builder
	renderFields(&text, n, message.ProtoReflect(), "  ")
	return text.String()
}

func renderFields(text *strings.Builder, n *Names, message protoreflect.Message, indent string) {
	fields := message.Descriptor().Fields()
	ordered := make([]protoreflect.FieldDescriptor, 0, fields.Len())
	for i := range fields.Len() {
		ordered = append(ordered, fields.Get(i))
	}
	sort.Slice(ordered, func(i, j int) bool { return ordered[i].Number() < ordered[j].Number() })
	for _, field := range ordered {
		if message.Has(field) {
			renderField(text, n, field, message.Get(field), indent)
		}
	}
	if unknown := message.GetUnknown(); len(unknown) > 0 {
		fmt.Fprintf(text, "%sunknown fields: %x\n", indent, []byte(unknown))
	}
}

func renderField(text *strings.Builder, n *Names, field protoreflect.FieldDescriptor, value protoreflect.Value, indent string) {
	var items []string
	for _, item := range elements(field, value) {
		items = append(items, renderItem(n, field, item, indent))
	}
	if unordered[field.FullName()] || asksFollower() && unorderedOnFollowers[field.FullName()] {
		sort.Strings(items)
	}
	for _, item := range items {
		text.WriteString(item)
	}
}

// elements is the list of a repeated field, or the single value.
func elements(field protoreflect.FieldDescriptor, value protoreflect.Value) []protoreflect.Value {
	if !field.IsList() {
		return []protoreflect.Value{value}
	}
	list := make([]protoreflect.Value, value.List().Len())
	for i := range list {
		list[i] = value.List().Get(i)
	}
	return list
}

func renderItem(n *Names, field protoreflect.FieldDescriptor, value protoreflect.Value, indent string) string {
	if field.Kind() == protoreflect.MessageKind {
		var inner strings.Builder
		renderFields(&inner, n, value.Message(), indent+"  ")
		if inner.Len() == 0 {
			return fmt.Sprintf("%s%s {}\n", indent, field.Name())
		}
		return fmt.Sprintf("%s%s {\n%s%s}\n", indent, field.Name(), inner.String(), indent)
	}
	return fmt.Sprintf("%s%s: %s\n", indent, field.Name(), renderScalar(n, field, value))
}

func renderScalar(n *Names, field protoreflect.FieldDescriptor, value protoreflect.Value) string {
	if rule, listed := normalised[field.FullName()]; listed {
		return rule(n, value)
	}
	switch field.Kind() {
	case protoreflect.BytesKind:
		return renderBytes(n, value.Bytes())
	case protoreflect.StringKind:
		return strconv.Quote(n.Text(value.String()))
	case protoreflect.EnumKind:
		return renderEnum(field, value.Enum())
	}
	return value.String()
}

func renderEnum(field protoreflect.FieldDescriptor, number protoreflect.EnumNumber) string {
	if known := field.Enum().Values().ByNumber(number); known != nil {
		return string(known.Name())
	}
	return strconv.Itoa(int(number))
}

func renderBytes(n *Names, raw []byte) string {
	if len(raw) > longBytes {
		return fmt.Sprintf("<%d bytes, sha256 %x>", len(raw), sha256.Sum256(raw))
	}
	return strconv.Quote(n.Text(string(raw)))
}
