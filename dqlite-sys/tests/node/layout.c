/* Compiled against the dqlite.h that the crate is built with: what `layout.rs` compares with. */
#include <dqlite.h>
#include <stdio.h>

#define SIZE(type) printf("size " #type " %zu\n", sizeof(type))
#define OFFSET(type, field) \
	printf("offset " #type "." #field " %zu\n", offsetof(type, field))
#define CONSTANT(name) printf("constant " #name " %lld\n", (long long)(name))

/* A function has exactly this type. */
#define FUNCTION(name, result, ...)                                          \
	_Static_assert(__builtin_types_compatible_p(__typeof__(name),        \
						    result(__VA_ARGS__)),    \
		       #name)

FUNCTION(dqlite_version_number, int, void);
FUNCTION(dqlite_node_create, int, unsigned long long, const char *, const char *, dqlite_node **);
FUNCTION(dqlite_node_destroy, void, dqlite_node *);
FUNCTION(dqlite_node_set_bind_address, int, dqlite_node *, const char *);
FUNCTION(dqlite_node_get_bind_address, const char *, dqlite_node *);
FUNCTION(dqlite_node_set_connect_func, int, dqlite_node *, int (*)(void *, const char *, int *), void *);
FUNCTION(dqlite_node_set_network_latency_ms, int, dqlite_node *, unsigned);
FUNCTION(dqlite_node_set_failure_domain, int, dqlite_node *, unsigned long long);
FUNCTION(dqlite_node_set_snapshot_params_v2, int, dqlite_node *, unsigned, unsigned, int);
FUNCTION(dqlite_node_set_block_size, int, dqlite_node *, size_t);
FUNCTION(dqlite_node_set_target_voters, int, dqlite_node *, int);
FUNCTION(dqlite_node_set_target_standbys, int, dqlite_node *, int);
FUNCTION(dqlite_node_set_auto_recovery, int, dqlite_node *, bool);
FUNCTION(dqlite_node_set_snapshot_compression, int, dqlite_node *, bool);
FUNCTION(dqlite_node_enable_role_management, int, dqlite_node *);
FUNCTION(dqlite_node_set_busy_timeout, int, dqlite_node *, unsigned);
FUNCTION(dqlite_node_start, int, dqlite_node *);
FUNCTION(dqlite_node_handover, int, dqlite_node *);
FUNCTION(dqlite_node_stop, int, dqlite_node *);
FUNCTION(dqlite_node_recover_ext, int, dqlite_node *, dqlite_node_info_ext *, int);
FUNCTION(dqlite_node_describe_last_entry, int, dqlite_node *, uint64_t *, uint64_t *);
FUNCTION(dqlite_node_errmsg, const char *, dqlite_node *);
FUNCTION(dqlite_generate_node_id, unsigned long long, const char *);
_Static_assert(__builtin_types_compatible_p(__typeof__(dqlite_version_string), const char *), "");

#if __has_include(<taffrail.h>)
#include <taffrail.h>

FUNCTION(taffrail_node_raft, void, dqlite_node *, struct taffrail_raft *);
FUNCTION(taffrail_node_set_raft_changed, int, dqlite_node *, void (*)(void *, const struct taffrail_raft *), void *);

static void added(void)
{
	SIZE(struct taffrail_raft);
	OFFSET(struct taffrail_raft, state);
	OFFSET(struct taffrail_raft, term);
	OFFSET(struct taffrail_raft, leader);
	OFFSET(struct taffrail_raft, last_index);
	OFFSET(struct taffrail_raft, commit_index);
	OFFSET(struct taffrail_raft, applied_index);
	CONSTANT(TAFFRAIL_UNAVAILABLE);
	CONSTANT(TAFFRAIL_FOLLOWER);
	CONSTANT(TAFFRAIL_CANDIDATE);
	CONSTANT(TAFFRAIL_LEADER);
}
#else
static void added(void)
{
}
#endif

int main(void)
{
	SIZE(dqlite_node_id);
	SIZE(bool);
	SIZE(size_t);
	SIZE(dqlite_node_info_ext);
	OFFSET(dqlite_node_info_ext, size);
	OFFSET(dqlite_node_info_ext, id);
	OFFSET(dqlite_node_info_ext, address);
	OFFSET(dqlite_node_info_ext, dqlite_role);
	CONSTANT(DQLITE_OK);
	CONSTANT(DQLITE_ERROR);
	CONSTANT(DQLITE_MISUSE);
	CONSTANT(DQLITE_NOMEM);
	CONSTANT(DQLITE_SNAPSHOT_TRAILING_STATIC);
	CONSTANT(DQLITE_SNAPSHOT_TRAILING_DYNAMIC);
	added();
	return 0;
}
