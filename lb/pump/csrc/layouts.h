/* The list of layouts: what a venue's messages look like. Each is a row that the venue's own file makes (layout.h). */
#ifndef LAYOUTS_H
#define LAYOUTS_H

/* cffi: begin */
enum pump_layout {
    PUMP_LAYOUT_POLYGON,
    PUMP_LAYOUT_BINANCE,
    PUMP_LAYOUT_BITSTAMP,
    PUMP_LAYOUT_COINBASE,
    PUMP_LAYOUT_KRAKEN
};
/* cffi: end */

#endif
