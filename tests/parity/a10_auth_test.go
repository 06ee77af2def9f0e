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
	}},
}

// authRefusal is a call that etcd serves while auth is off and Taffrail, which has no
// auth to prepare, refuses.
func authRefusal(name, etcd string, call func(context.Context, pb.AuthClient) error) Divergence {
	return Divergence{
		Name:     "A10.1_" + name,
		Reason:   "Taffrail has no users and roles; everything but AuthStatus says that auth is not enabled",
		Etcd:     etcd,
		Taffrail: "FailedPrecondition etcdserver: authentication is not enabled",
		Run: func(ctx context.Context, s *Session) string {
			state, _ := status.FromError(call(ctx, s.Auth))
			return strings.TrimSpace(state.Code().String() + " " + state.Message())
		},
	}
}

var authDivergences = []Divergence{
	authRefusal("auth_enable", "FailedPrecondition etcdserver: root user does not exist",
		func(ctx context.Context, auth pb.AuthClient) error {
			_, err := auth.AuthEnable(ctx, &pb.AuthEnableRequest{})
			return err
		}),
	authRefusal("auth_disable", "OK", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.AuthDisable(ctx, &pb.AuthDisableRequest{})
		return err
	}),
	authRefusal("user_add", "OK", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "u", Password: "p"})
		return err
	}),
	authRefusal("user_get", "FailedPrecondition etcdserver: user name not found", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.UserGet(ctx, &pb.AuthUserGetRequest{Name: "u"})
		return err
	}),
	authRefusal("user_list", "OK", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.UserList(ctx, &pb.AuthUserListRequest{})
		return err
	}),
	authRefusal("user_delete", "FailedPrecondition etcdserver: user name not found", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.UserDelete(ctx, &pb.AuthUserDeleteRequest{Name: "u"})
		return err
	}),
	authRefusal("user_change_password", "FailedPrecondition etcdserver: user name not found", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.UserChangePassword(ctx, &pb.AuthUserChangePasswordRequest{Name: "u", Password: "p"})
		return err
	}),
	authRefusal("user_grant_role", "FailedPrecondition etcdserver: user name not found", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "u", Role: "r"})
		return err
	}),
	authRefusal("user_revoke_role", "FailedPrecondition etcdserver: user name not found", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.UserRevokeRole(ctx, &pb.AuthUserRevokeRoleRequest{Name: "u", Role: "r"})
		return err
	}),
	authRefusal("role_add", "OK", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "r"})
		return err
	}),
	authRefusal("role_get", "FailedPrecondition etcdserver: role name not found", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.RoleGet(ctx, &pb.AuthRoleGetRequest{Role: "r"})
		return err
	}),
	authRefusal("role_list", "OK", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.RoleList(ctx, &pb.AuthRoleListRequest{})
		return err
	}),
	authRefusal("role_delete", "FailedPrecondition etcdserver: role name not found", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.RoleDelete(ctx, &pb.AuthRoleDeleteRequest{Role: "r"})
		return err
	}),
	authRefusal("role_grant_permission", "FailedPrecondition etcdserver: role name not found", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.RoleGrantPermission(ctx, &pb.AuthRoleGrantPermissionRequest{Name: "r", Perm: &authpb.Permission{Key: []byte("k")}})
		return err
	}),
	authRefusal("role_revoke_permission", "FailedPrecondition etcdserver: role name not found", func(ctx context.Context, auth pb.AuthClient) error {
		_, err := auth.RoleRevokePermission(ctx, &pb.AuthRoleRevokePermissionRequest{Role: "r", Key: []byte("k")})
		return err
	}),
}
