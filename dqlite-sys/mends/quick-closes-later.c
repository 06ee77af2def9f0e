/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
 *
 * The kernel gives a context of asynchronous writes back only when no processor
 * can be about to use it, for which it lets 40 ms go by. That is nothing to wait
 * for on the thread that serves the log, which would, whenever a segment is full,
 * and at the same entry on every member. */
struct taffrailContext
{
	struct uv_work_s work;
	aio_context_t ctx;
};

static void taffrailDestroyCb(uv_work_t *work)
{
	struct taffrailContext *context = work->data;
	UvOsIoDestroy(context->ctx);
}

static void taffrailDestroyedCb(uv_work_t *work, int status)
{
	(void)status;
	RaftHeapFree(work->data);
}

static void taffrailDestroy(struct uv_loop_s *loop, aio_context_t ctx)
{
	struct taffrailContext *context = RaftHeapMalloc(sizeof *context);
	if (context == NULL) {
		UvOsIoDestroy(ctx);
		return;
	}
	context->work.data = context;
	context->ctx = ctx;
	if (uv_queue_work(loop, &context->work, taffrailDestroyCb,
			  taffrailDestroyedCb) != 0) {
		UvOsIoDestroy(ctx);
		RaftHeapFree(context);
	}
}

