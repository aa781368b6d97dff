#include "layout.h"
#include "polygon.h"

const struct layout *const layouts[] = {
    [PUMP_LAYOUT_POLYGON] = &polygon_layout,
};
