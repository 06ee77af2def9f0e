package parity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

func TestRangeStream(t *testing.T) { runSection(t, streamScripts) }

var streamScripts = []Script{
	{Name: "A2.1_chunks_merge_to_the_range", Run: func(ctx context.Context, s *Session) {
		fillQuickly(ctx, s, 1000)
		request := everything()
		chunks := s.RangeStream(ctx, request)
		whole, err := s.KV.Range(Quiet(ctx), request)
		if err != nil {
			s.Fail("range: %v", err)
		}
		s.Note("merged equals the range: %v", proto.Equal(mergeChunks(chunks), whole))
		s.Note("several chunks: %v", len(chunks) > 1)
		s.Note("only the last has header, more, count: %v", onlyLastHasHeader(chunks))
		s.Note("keys ascend over all chunks: %v", keysAscend(chunks))
		s.RangeStreamMerged(ctx, &pb.RangeRequest{Key: []byte("k000001")})
		s.RangeStreamMerged(ctx, &pb.RangeRequest{Key: []byte("missing")})
		s.RangeStreamMerged(ctx, &pb.RangeRequest{})
		s.RangeStreamMerged(ctx, &pb.RangeRequest{Key: []byte("z"), RangeEnd: []byte("a")})
	}},
	{Name: "A2.2_revision_limit_count", Run: func(ctx context.Context, s *Session) {
		s.Fill("k", 30)
		s.Put("k001", "again")
		s.Compact(5)
		base := func() *pb.RangeRequest { return &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l")} }
		for _, change := range []func(*pb.RangeRequest){
			func(r *pb.RangeRequest) { r.Revision = 20 },
			func(r *pb.RangeRequest) { r.Revision = 4 },
			func(r *pb.RangeRequest) { r.Revision = 1000 },
			func(r *pb.RangeRequest) { r.Limit = 25 },
			func(r *pb.RangeRequest) { r.Limit = 30 },
			func(r *pb.RangeRequest) { r.Limit = 31 },
			func(r *pb.RangeRequest) { r.Limit = -3; r.KeysOnly = true },
			func(r *pb.RangeRequest) { r.CountOnly = true },
			func(r *pb.RangeRequest) { r.CountOnly = true; r.Limit = 3; r.Revision = 10 },
			func(r *pb.RangeRequest) { r.KeysOnly = true; r.Limit = 12 },
			func(r *pb.RangeRequest) { r.Serializable = true; r.Limit = 1 },
		} {
			request := base()
			change(request)
			s.RangeStreamMerged(ctx, request)
		}
	}},
	{Name: "A2.3_refusals", Run: func(ctx context.Context, s *Session) {
		s.Fill("k", 3)
		for _, request := range []*pb.RangeRequest{
			{SortOrder: pb.RangeRequest_DESCEND}, {SortTarget: pb.RangeRequest_MOD},
			{SortOrder: pb.RangeRequest_ASCEND}, {SortTarget: 9}, {SortOrder: -1},
			{SortOrder: pb.RangeRequest_ASCEND, SortTarget: pb.RangeRequest_VALUE},
			{MinModRevision: 2}, {MaxModRevision: 2}, {MinCreateRevision: 2}, {MaxCreateRevision: 2},
			{SortOrder: pb.RangeRequest_DESCEND, MinModRevision: 2},
		} {
			request.Key, request.RangeEnd = []byte("k"), []byte("l")
			s.RangeStreamMerged(ctx, request)
		}
		s.HTTP("POST", "/v3/kv/rangestream", `{"key":"aw=="}`)
	}},
}

// RangeStream reads all chunks without recording them: how the answer is cut into
// chunks is the server's choice.
func (s *Session) RangeStream(ctx context.Context, request *pb.RangeRequest) []*pb.RangeResponse {
	chunks, err := s.rangeStream(Quiet(ctx), request)
	if err != nil {
		s.Fail("range stream: %v", err)
	}
	return chunks
}

// RangeStreamMerged records what all chunks make together.
func (s *Session) RangeStreamMerged(ctx context.Context, request *pb.RangeRequest) {
	chunks, err := s.rangeStream(Quiet(ctx), request)
	s.recorder.request(pb.KV_RangeStream_FullMethodName, request)
	s.recorder.answer(mergeChunks(chunks), err)
	s.Note("only the last has header, more, count: %v", onlyLastHasHeader(chunks))
}

func (s *Session) rangeStream(ctx context.Context, request *pb.RangeRequest) ([]*pb.RangeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stream, err := s.KV.RangeStream(ctx, request)
	if err != nil {
		return nil, err
	}
	var chunks []*pb.RangeResponse
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return chunks, nil
		}
		if err != nil {
			return chunks, err
		}
		chunks = append(chunks, chunk.RangeResponse)
	}
}

func mergeChunks(chunks []*pb.RangeResponse) *pb.RangeResponse {
	merged := &pb.RangeResponse{}
	for _, chunk := range chunks {
		proto.Merge(merged, chunk)
	}
	return merged
}

func onlyLastHasHeader(chunks []*pb.RangeResponse) bool {
	for i, chunk := range chunks {
		last := i == len(chunks)-1
		if (chunk.GetHeader() != nil) != last || (!last && (chunk.More || chunk.Count != 0)) {
			return false
		}
	}
	return true
}

func keysAscend(chunks []*pb.RangeResponse) bool {
	var previous []byte
	for _, kv := range mergeChunks(chunks).Kvs {
		if bytes.Compare(previous, kv.Key) >= 0 {
			return false
		}
		previous = kv.Key
	}
	return true
}

// fillQuickly writes count keys in transactions of 100.
func fillQuickly(ctx context.Context, s *Session, count int) {
	for start := 0; start < count; start += 100 {
		var puts []*pb.RequestOp
		for i := start; i < min(start+100, count); i++ {
			puts = append(puts, put(fmt.Sprintf("k%06d", i), fmt.Sprint(i)))
		}
		if _, err := s.KV.Txn(Quiet(ctx), &pb.TxnRequest{Success: puts}); err != nil {
			s.Fail("fill: %v", err)
		}
	}
}
