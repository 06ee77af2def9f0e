/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
 *
 * While this thread opens a connection that only VfsApply will use: the pages
 * that will be applied. Otherwise 0. */
_Thread_local unsigned VfsPagesToApply = 0;

