package parity

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Shorthands: every one makes the call with the raw client, so that it is recorded.

// Put writes a key.
func (s *Session) Put(key, value string) *pb.PutResponse {
	return s.PutRequest(&pb.PutRequest{Key: []byte(key), Value: []byte(value)})
}

// PutLeased writes a key that a lease owns.
func (s *Session) PutLeased(key, value string, lease int64) *pb.PutResponse {
	return s.PutRequest(&pb.PutRequest{Key: []byte(key), Value: []byte(value), Lease: lease})
}

// PutRequest sends the request as it is.
func (s *Session) PutRequest(request *pb.PutRequest) *pb.PutResponse {
	response, _ := s.KV.Put(s.ctx, request)
	return response
}

// Get reads one key.
func (s *Session) Get(key string) *pb.RangeResponse {
	return s.Range(&pb.RangeRequest{Key: []byte(key)})
}

// GetAt reads one key at a revision.
func (s *Session) GetAt(key string, revision int64) *pb.RangeResponse {
	return s.Range(&pb.RangeRequest{Key: []byte(key), Revision: revision})
}

// All reads the whole store.
func (s *Session) All() *pb.RangeResponse {
	return s.Range(&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
}

// Range sends the request as it is.
func (s *Session) Range(request *pb.RangeRequest) *pb.RangeResponse {
	response, _ := s.KV.Range(s.ctx, request)
	return response
}

// Delete deletes one key.
func (s *Session) Delete(key string) *pb.DeleteRangeResponse {
	return s.DeleteRange(&pb.DeleteRangeRequest{Key: []byte(key)})
}

// DeleteRange sends the request as it is.
func (s *Session) DeleteRange(request *pb.DeleteRangeRequest) *pb.DeleteRangeResponse {
	response, _ := s.KV.DeleteRange(s.ctx, request)
	return response
}

// Txn sends a transaction.
func (s *Session) Txn(compares []*pb.Compare, success, failure []*pb.RequestOp) *pb.TxnResponse {
	response, _ := s.KV.Txn(s.ctx, &pb.TxnRequest{Compare: compares, Success: success, Failure: failure})
	return response
}

// Do sends a transaction without compares.
func (s *Session) Do(ops ...*pb.RequestOp) *pb.TxnResponse { return s.Txn(nil, ops, nil) }

// Compact compacts and waits until it is done.
func (s *Session) Compact(revision int64) *pb.CompactionResponse {
	response, _ := s.KV.Compact(s.ctx, &pb.CompactionRequest{Revision: revision, Physical: true})
	return response
}

// Grant asks for a lease; id 0 lets the server choose.
func (s *Session) Grant(id, ttl int64) int64 {
	response, err := s.Lease.LeaseGrant(s.ctx, &pb.LeaseGrantRequest{ID: id, TTL: ttl})
	if err != nil {
		return 0
	}
	return response.ID
}

// Revoke revokes a lease.
func (s *Session) Revoke(id int64) {
	_, _ = s.Lease.LeaseRevoke(s.ctx, &pb.LeaseRevokeRequest{ID: id})
}

// TimeToLive asks for a lease and its keys.
func (s *Session) TimeToLive(id int64) *pb.LeaseTimeToLiveResponse {
	response, _ := s.Lease.LeaseTimeToLive(s.ctx, &pb.LeaseTimeToLiveRequest{ID: id, Keys: true})
	return response
}

// Fill writes count keys prefix000, prefix001 … without recording them.
func (s *Session) Fill(prefix string, count int) {
	ctx := Quiet(s.ctx)
	for i := range count {
		request := &pb.PutRequest{Key: fmt.Appendf(nil, "%s%03d", prefix, i), Value: fmt.Appendf(nil, "value %d", i)}
		if _, err := s.KV.Put(ctx, request); err != nil {
			s.Fail("put %s: %v", request.Key, err)
		}
	}
}

// QuietPut writes a key without recording it.
func (s *Session) QuietPut(ctx context.Context, key string, value []byte) error {
	_, err := s.KV.Put(Quiet(ctx), &pb.PutRequest{Key: []byte(key), Value: value})
	return err
}

// put, get, remove and nested build the operations of a transaction.
func put(key, value string) *pb.RequestOp {
	return putOp(&pb.PutRequest{Key: []byte(key), Value: []byte(value)})
}

func putOp(request *pb.PutRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: request}}
}

func get(key string) *pb.RequestOp { return getOp(&pb.RangeRequest{Key: []byte(key)}) }

func getRange(key, end string) *pb.RequestOp {
	return getOp(&pb.RangeRequest{Key: []byte(key), RangeEnd: []byte(end)})
}

func getOp(request *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: request}}
}

func remove(key string) *pb.RequestOp { return removeRange(key, "") }

func removeRange(key, end string) *pb.RequestOp {
	return removeOp(&pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end)})
}

func removeOp(request *pb.DeleteRangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: request}}
}

func nested(compares []*pb.Compare, success, failure []*pb.RequestOp) *pb.RequestOp {
	inner := &pb.TxnRequest{Compare: compares, Success: success, Failure: failure}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: inner}}
}

func ops(list ...*pb.RequestOp) []*pb.RequestOp { return list }

func compares(list ...*pb.Compare) []*pb.Compare { return list }

// versionIs, modIs and valueIs are the usual compares.
func versionIs(key string, version int64) *pb.Compare {
	return &pb.Compare{Key: []byte(key), Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: version}}
}

func modIs(key string, revision int64) *pb.Compare {
	return &pb.Compare{Key: []byte(key), Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: revision}}
}

func valueIs(key, value string) *pb.Compare {
	return &pb.Compare{Key: []byte(key), Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte(value)}}
}

// KeepAlive renews leases on one stream, in order, and waits for every answer.
func (s *Session) KeepAlive(ids ...int64) {
	ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
	defer cancel()
	stream, err := s.Lease.LeaseKeepAlive(ctx)
	if err != nil {
		return
	}
	for _, id := range ids {
		if stream.Send(&pb.LeaseKeepAliveRequest{ID: id}) != nil {
			return
		}
	}
	for range ids {
		if _, err := stream.Recv(); err != nil {
			return
		}
	}
}
