/* What Python calls when a capsule of Arrow's ends (https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html): what
 * nobody has taken out is released here. */
#include "arrow.h"
#include "columns.h"

#include <stdlib.h>

/* A function of Python's stable ABI; all that is wanted of its header. */
void *PyCapsule_GetPointer(void *capsule, const char *name);

void arrow_end_schema(void *capsule)
{
    struct ArrowSchema *schema = PyCapsule_GetPointer(capsule, "arrow_schema");
    if (schema->release)
        schema->release(schema);
    free(schema);
}

void arrow_end_array(void *capsule)
{
    struct ArrowArray *array = PyCapsule_GetPointer(capsule, "arrow_array");
    if (array->release)
        array->release(array);
    free(array);
}

void arrow_end_stream(void *capsule)
{
    struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, "arrow_array_stream");
    if (stream->release)
        stream->release(stream);
    free(stream);
}
