package parity

import (
	"context"
	"strings"
	"testing"

	authpb "go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestAuth(t *testing.T) { runSection(t, authScripts, authDivergences...) }

var authScripts = []Script{
	{Name: "A10.1_auth_is_off", Run: func(ctx context.Context, s *Session) {
		_, _ = s.Auth.AuthStatus(ctx, &pb.AuthStatusRequest{})
		_, _ = s.Auth.Authenticate(ctx, &pb.AuthenticateRequest{Name: "root", Password: "x"})
		_, _ = s.Auth.Authenticate(ctx, &pb.AuthenticateRequest{})
		token := metadata.AppendToOutgoingContext(ctx, "token", "nonsense")
		_, _ = s.KV.Put(token, &pb.PutRequest{Key: []byte("a")})
		_, _ = s.KV.Range(token, &pb.RangeRequest{Key: []byte("a")})
		_, _ = s.Auth.AuthEnable(ctx, &pb.AuthEnableRequest{})
		_, _ = s.Auth.AuthDisable(ctx, &pb.AuthDisableRequest{})
		_, _ = s.Auth.AuthStatus(ctx, &pb.AuthStatusRequest{})
	}},
	{Name: "A10.1b_unknown_users", Run: func(ctx context.Context, s *Session) {
		_, _ = s.Auth.UserList(ctx, &pb.AuthUserListRequest{})
		for _, name := range []string{"someone", ""} {
			_, _ = s.Auth.UserGet(ctx, &pb.AuthUserGetRequest{Name: name})
			_, _ = s.Auth.UserDelete(ctx, &pb.AuthUserDeleteRequest{Name: name})
			_, _ = s.Auth.UserChangePassword(ctx, &pb.AuthUserChangePasswordRequest{Name: name, Password: "p"})
			_, _ = s.Auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: name, Role: "something"})
			_, _ = s.Auth.UserRevokeRole(ctx, &pb.AuthUserRevokeRoleRequest{Name: name, Role: "something"})
		}
	}},
	{Name: "A10.1c_unknown_roles", Run: func(ctx context.Context, s *Session) {
		_, _ = s.Auth.RoleList(ctx, &pb.AuthRoleListRequest{})
		for _, name := range []string{"something", ""} {
			_, _ = s.Auth.RoleGet(ctx, &pb.AuthRoleGetRequest{Role: name})
			_, _ = s.Auth.RoleDelete(ctx, &pb.AuthRoleDeleteRequest{Role: name})
			_, _ = s.Auth.RoleGrantPermission(ctx, &pb.AuthRoleGrantPermissionRequest{Name: name, Perm: &authpb.Permission{Key: []byte("k")}})
			_, _ = s.Auth.RoleRevokePermission(ctx, &pb.AuthRoleRevokePermissionRequest{Role: name, Key: []byte("k")})
		}
	}},
}

// authRefusal is a call that etcd serves while auth is off and Taffrail, which keeps no
// users and roles, refuses.
func authRefusal(name string, call func(context.Context, pb.AuthClient) error) Divergence {
	return Divergence{
		Name:     "A10.1_" + name,
		Reason:   "Taffrail keeps no users and roles",
		Etcd:     "OK",
		Taffrail: "FailedPrecondition etcdserver: authentication is not enabled",
		Run: func(ctx context.Context, s *Session) string {
			state, _ := status.FromError(call(ctx, s.Auth))
			return strings.TrimSpace(state.Code().String() + " " + state.Message())
		},
	}
}

var authDivergences = []Divergence{
	authRefusal("user_add", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "u", Password: "p"})
		return err
	}),
	authRefusal("role_add", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "r"})
		return err
	}),
}
