#include "coinbase.h"

#define LAYOUT(name) coinbase_##name
#define LAYOUT_IS_TOLD coinbase_is_told
#include "layout_row.h"
