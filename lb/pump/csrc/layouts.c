#include "layouts.h"
#include "binance.h"
#include "bitstamp.h"
#include "coinbase.h"
#include "kraken.h"
#include "polygon.h"

const struct layout *const layouts[] = {
    [PUMP_LAYOUT_POLYGON] = &polygon_layout,
    [PUMP_LAYOUT_BINANCE] = &binance_layout,
    [PUMP_LAYOUT_BITSTAMP] = &bitstamp_layout,
    [PUMP_LAYOUT_COINBASE] = &coinbase_layout,
    [PUMP_LAYOUT_KRAKEN] = &kraken_layout,
};
