#include "polygon.h"

#define LAYOUT(name) polygon_##name
#define LAYOUT_KEY_END POLYGON_KEY_END
#define LAYOUT_LETTER_AT POLYGON_LETTER_AT
#include "layout_row.h"
