#include "binance.h"

#define LAYOUT(name) binance_##name
#include "layout_row.h"
