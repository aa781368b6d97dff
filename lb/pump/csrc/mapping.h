/* The one mapping: how large its parts are, and what memory of it is given back. */
#ifndef MAPPING_H
#define MAPPING_H

#include "pump_state.h"

/* Of what is in a mapping. To be raised where that changes and its structs do not: what an offset or a state means. */
enum { PUMP_MAPPING_VERSION = 2 };

/* A checksum of the text of the structs, without comments: lb/pump/build.py says it. */
#ifndef PUMP_MAPPING_DESCRIPTION
#define PUMP_MAPPING_DESCRIPTION 0 /* a build for a test, or to measure */
#endif

enum {
    INPUT_SLACK_BYTES = 1024 * 1024, /* a long record is moved to the front once per so many bytes, not per read */
    INPUT_KEPT_BYTES = 2 * PUMP_ROOM_BYTES + INPUT_SLACK_BYTES /* of the input: this memory is kept for good */
};

/* Returns a pump of zeros but for its header, its config and where its parts are, or NULL with errno. Its memory has a
 * descriptor, so that another process may have it, too. */
struct pump *mapping_new(const struct pump_config *config);
void mapping_free(struct pump *pump);

/* Maps what another process has left. Returns NULL with errno: EINVAL where it is no mapping of this version, for this
 * config. All but its header, its config and where its parts are is still to be proven: adopt.c. */
struct pump *mapping_of(int memory_fd, const struct pump_config *config);

/* Takes what the last checkpoint says, but for where the parts are. Returns 0, or -1 where there is none. */
int mapping_restore(struct pump *pump);

/* Leaves the descriptor open. */
void mapping_unmap(struct pump *pump);

/* How many bytes of an outbox are for what waits until draining begins. One that retains has as much room again before
 * what it holds: so it never has to move more bytes than were acknowledged since the last time. */
uint64_t mapping_waiting_bytes(const struct pump_config *config);

/* How many bytes an outbox can hold, without the pad behind it. */
uint64_t mapping_outbox_bytes(const struct pump_config *config);

/* Gives back the memory of whole pages between two offsets of one part: it reads as zeros from then on. Leaves errno
 * alone. */
void mapping_give_back(struct pump *pump, uint64_t begin, uint64_t end);

#endif
