#include "ktls.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

_Static_assert((int)KTLS_TCP_ULP == TCP_ULP, "TCP_ULP");
#ifdef SOL_TLS
_Static_assert((int)KTLS_SOL_TLS == SOL_TLS, "SOL_TLS");
#endif
_Static_assert((int)KTLS_TX == TLS_TX, "TLS_TX");
_Static_assert((int)KTLS_RX == TLS_RX, "TLS_RX");
#ifdef TLS_RX_EXPECT_NO_PAD /* younger than the other numbers: headers of 5.19 and before lack it */
_Static_assert((int)KTLS_RX_EXPECT_NO_PAD == TLS_RX_EXPECT_NO_PAD, "TLS_RX_EXPECT_NO_PAD");
#endif
_Static_assert((int)KTLS_SET_RECORD_TYPE == TLS_SET_RECORD_TYPE, "TLS_SET_RECORD_TYPE");
_Static_assert((int)KTLS_GET_RECORD_TYPE == TLS_GET_RECORD_TYPE, "TLS_GET_RECORD_TYPE");
_Static_assert((int)KTLS_VERSION_1_2 == TLS_1_2_VERSION, "TLS_1_2_VERSION");
_Static_assert((int)KTLS_VERSION_1_3 == TLS_1_3_VERSION, "TLS_1_3_VERSION");
_Static_assert((int)KTLS_CIPHER_AES_GCM_128 == TLS_CIPHER_AES_GCM_128, "TLS_CIPHER_AES_GCM_128");
_Static_assert((int)KTLS_CIPHER_AES_GCM_256 == TLS_CIPHER_AES_GCM_256, "TLS_CIPHER_AES_GCM_256");
_Static_assert((int)KTLS_CIPHER_CHACHA20_POLY1305 == TLS_CIPHER_CHACHA20_POLY1305, "TLS_CIPHER_CHACHA20_POLY1305");
_Static_assert(sizeof(struct tls12_crypto_info_aes_gcm_128) <= KTLS_CRYPTO_INFO_MAX_BYTES, "room");
_Static_assert(sizeof(struct tls12_crypto_info_aes_gcm_256) <= KTLS_CRYPTO_INFO_MAX_BYTES, "room");
_Static_assert(sizeof(struct tls12_crypto_info_chacha20_poly1305) <= KTLS_CRYPTO_INFO_MAX_BYTES, "room");

enum { REC_SEQ_BYTES = 8 };

/* The three structures have the same fields in different places and sizes. */
struct layout {
    uint16_t cipher;
    size_t struct_bytes;
    size_t iv_at, iv_bytes;
    size_t key_at, key_bytes;
    size_t salt_at, salt_bytes;
    size_t rec_seq_at;
};

#define LAYOUT(type, number)                                                                                           \
    {                                                                                                                  \
        .cipher = number, .struct_bytes = sizeof(struct type), .iv_at = offsetof(struct type, iv),                     \
        .iv_bytes = number##_IV_SIZE, .key_at = offsetof(struct type, key), .key_bytes = number##_KEY_SIZE,            \
        .salt_at = offsetof(struct type, salt), .salt_bytes = number##_SALT_SIZE,                                      \
        .rec_seq_at = offsetof(struct type, rec_seq)                                                                   \
    }

static const struct layout LAYOUTS[] = {
    LAYOUT(tls12_crypto_info_aes_gcm_128, TLS_CIPHER_AES_GCM_128),
    LAYOUT(tls12_crypto_info_aes_gcm_256, TLS_CIPHER_AES_GCM_256),
    LAYOUT(tls12_crypto_info_chacha20_poly1305, TLS_CIPHER_CHACHA20_POLY1305),
};

static const struct layout *find_layout(int cipher) {
    for (size_t i = 0; i < sizeof LAYOUTS / sizeof LAYOUTS[0]; i++) {
        if (LAYOUTS[i].cipher == cipher) {
            return &LAYOUTS[i];
        }
    }
    return NULL;
}

static void store_big_endian(uint8_t out[REC_SEQ_BYTES], uint64_t number) {
    for (int i = REC_SEQ_BYTES - 1; i >= 0; i--) {
        out[i] = (uint8_t)(number & 0xff);
        number >>= 8;
    }
}

int ktls_crypto_info(uint8_t *out, size_t out_bytes, int version, int cipher, const uint8_t *key, size_t key_bytes,
                     const uint8_t *iv, size_t iv_bytes, uint64_t rec_seq) {
    if (version != KTLS_VERSION_1_2 && version != KTLS_VERSION_1_3) {
        return KTLS_E_VERSION;
    }
    const struct layout *at = find_layout(cipher);
    if (at == NULL) {
        return KTLS_E_CIPHER;
    }
    /* GCM under TLS 1.2 sends 8 bytes of each nonce with the record (RFC 5288 3); only its salt comes from the keys. */
    bool explicit_nonce = version == KTLS_VERSION_1_2 && at->salt_bytes > 0;
    if (key_bytes != at->key_bytes) {
        return KTLS_E_KEY;
    }
    if (iv_bytes != at->salt_bytes + (explicit_nonce ? 0 : at->iv_bytes)) {
        return KTLS_E_IV;
    }
    if (out_bytes < at->struct_bytes) {
        return KTLS_E_ROOM;
    }

    const struct tls_crypto_info head = {.version = (uint16_t)version, .cipher_type = at->cipher};
    uint8_t rec_seq_wire[REC_SEQ_BYTES];
    store_big_endian(rec_seq_wire, rec_seq);
    memset(out, 0, at->struct_bytes);
    memcpy(out, &head, sizeof head);
    memcpy(out + at->salt_at, iv, at->salt_bytes);
    memcpy(out + at->iv_at, explicit_nonce ? rec_seq_wire : iv + at->salt_bytes, at->iv_bytes);
    memcpy(out + at->key_at, key, at->key_bytes);
    memcpy(out + at->rec_seq_at, rec_seq_wire, REC_SEQ_BYTES);
    return (int)at->struct_bytes;
}

void ktls_wipe(void *memory, size_t memory_bytes) { explicit_bzero(memory, memory_bytes); }

ssize_t ktls_receive(int fd, uint8_t *buffer, size_t buffer_bytes, int flags, int *record_type) {
    union {
        struct cmsghdr header; /* for its alignment */
        char bytes[CMSG_SPACE(sizeof(uint8_t))];
    } control;
    struct iovec room = {.iov_base = buffer, .iov_len = buffer_bytes};
    struct msghdr message = {
        .msg_iov = &room, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t received = recvmsg(fd, &message, flags);
    if (received < 0) {
        return -errno;
    }
    const struct cmsghdr *told = CMSG_FIRSTHDR(&message);
    bool has_type = told != NULL && told->cmsg_level == KTLS_SOL_TLS && told->cmsg_type == KTLS_GET_RECORD_TYPE;
    *record_type = has_type ? *CMSG_DATA(told) : 0;
    return received;
}

int ktls_set_dumpable(int dumpable) {
    return prctl(PR_SET_DUMPABLE, (unsigned long)(dumpable != 0), 0UL, 0UL, 0UL) == 0 ? 0 : -errno;
}
