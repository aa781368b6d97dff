/* Law: every function of the pump answers with >= 0 for work done and < 0 for one of the errors named here, and
 * nowhere else. */
#ifndef PUMP_RC_H
#define PUMP_RC_H

/* cffi: begin */
enum pump_rc {
    /* the peer broke RFC 6455: the session must end with a close code */
    PUMP_ERR_FRAME_RSV = -1,          /* reserved bit set, and no extension was negotiated (5.2) */
    PUMP_ERR_FRAME_OPCODE = -2,       /* reserved opcode (5.2) */
    PUMP_ERR_FRAME_MASKED = -3,       /* a server must not mask (5.1) */
    PUMP_ERR_FRAME_LENGTH = -4,       /* length not in its shortest form, or its top bit set (5.2) */
    PUMP_ERR_FRAME_CONTROL = -5,      /* control frame fragmented or over 125 bytes (5.5) */
    PUMP_ERR_FRAME_SEQUENCE = -6,     /* continuation without a start, or a start inside a message (5.4) */
    PUMP_ERR_FRAME_TOO_BIG = -7,      /* payload over max_frame_bytes */
    PUMP_ERR_UTF8 = -8,               /* text that is not UTF-8 (8.1) */
    /* the message is neither an array of objects nor an object: what is none is skipped, the session goes on */
    PUMP_ERR_NOT_ARRAY = -20,         /* begins with neither '[' nor '{' */
    PUMP_ERR_NOT_OBJECT = -21,        /* an element does not begin with '{': it alone is skipped */
    PUMP_ERR_NO_SEPARATOR = -22,      /* neither ',' nor ']' behind a record */
    PUMP_ERR_TRAILING = -23,          /* bytes behind the closing ']', or behind the one object */
    PUMP_ERR_TRUNCATED = -24,         /* the message ends before its array or object does */
    PUMP_ERR_RECORD_TOO_BIG = -25,    /* a record longer than max_frame_bytes */
    /* the system refused: errno tells why */
    PUMP_ERR_RECV = -40,
    PUMP_ERR_PIPE = -41,
    PUMP_ERR_POLL = -42,
    PUMP_ERR_SPILL = -43,
    /* the reader of a pipe is at fault */
    PUMP_ERR_ACKNOWLEDGED = -60,      /* it acknowledges more than was written */
    /* a segment of spilled records can't be taken over */
    PUMP_ERR_SPILL_VERSION = -80,     /* it is of another version */
    PUMP_ERR_SPILL_TOO_LONG = -81     /* it holds a record longer than max_frame_bytes */
};
/* cffi: end */

#endif
