/* What Python's standard library cannot do for kernel TLS: lay out crypto_info exactly as linux/tls.h does, wipe memory so
 * that the compiler cannot drop it, read a socket that has a timeout without polling it first, and make the process
 * undumpable. Everything else is Python.
 *
 * Law: no function here keeps a copy of a key, allocates, or holds a global. Returns are >= 0 for work done, < 0 for an
 * error: one named below, or -errno from those that make a system call. */
#ifndef KTLS_H
#define KTLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* cffi: begin */
/* Numbers of the kernel's interface; ktls.c asserts each of them against the system's own headers. */
enum ktls_number {
    KTLS_TCP_ULP = 31,
    KTLS_SOL_TLS = 282,
    KTLS_TX = 1,
    KTLS_RX = 2,
    KTLS_RX_EXPECT_NO_PAD = 4,
    KTLS_SET_RECORD_TYPE = 1,
    KTLS_GET_RECORD_TYPE = 2,
    KTLS_VERSION_1_2 = 0x0303,
    KTLS_VERSION_1_3 = 0x0304,
    KTLS_CIPHER_AES_GCM_128 = 51,
    KTLS_CIPHER_AES_GCM_256 = 52,
    KTLS_CIPHER_CHACHA20_POLY1305 = 54,
    KTLS_CRYPTO_INFO_MAX_BYTES = 56
};

enum ktls_error {
    KTLS_E_VERSION = -1, /* neither TLS 1.2 nor TLS 1.3 */
    KTLS_E_CIPHER = -2,  /* not one of the three ciphers above */
    KTLS_E_KEY = -3,     /* key_bytes is not the cipher's */
    KTLS_E_IV = -4,      /* iv_bytes is not what version and cipher call for */
    KTLS_E_ROOM = -5     /* out_bytes is too small for this cipher's structure */
};

/* Writes the kernel's crypto_info for one direction into out and returns its size in bytes. iv is the per-record nonce's
 * fixed part: 4 bytes for GCM under TLS 1.2 (RFC 5288), 12 bytes otherwise (RFC 7905, RFC 8446 5.3). rec_seq is the
 * number of the next record. */
int ktls_crypto_info(uint8_t *out, size_t out_bytes, int version, int cipher, const uint8_t *key, size_t key_bytes,
                     const uint8_t *iv, size_t iv_bytes, uint64_t rec_seq);

/* Overwrites memory with zeros; never optimised away. */
void ktls_wipe(void *memory, size_t memory_bytes);

/* One recvmsg with room for a record type. Returns the number of bytes, or -errno. *record_type is the type of the record
 * that they are from (RFC 8446 5.1), or 0 where no record came: the end of the stream. */
ssize_t ktls_receive(int fd, uint8_t *buffer, size_t buffer_bytes, int flags, int *record_type);

/* prctl(PR_SET_DUMPABLE): with 0 the process leaves no core and cannot be traced by its own user. */
int ktls_set_dumpable(int dumpable);
/* cffi: end */

#endif
