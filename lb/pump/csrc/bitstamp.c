#include "bitstamp.h"

#define LAYOUT(name) bitstamp_##name
#include "layout_row.h"
