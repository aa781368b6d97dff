#include "kraken.h"

#define LAYOUT(name) kraken_##name
#include "layout_row.h"
