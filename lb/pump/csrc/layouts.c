#include "layouts.h"
#include "binance.h"
#include "bitstamp.h"
#include "polygon.h"

const struct layout *const layouts[] = {
    [PUMP_LAYOUT_POLYGON] = &polygon_layout,
    [PUMP_LAYOUT_BINANCE] = &binance_layout,
    [PUMP_LAYOUT_BITSTAMP] = &bitstamp_layout,
};
