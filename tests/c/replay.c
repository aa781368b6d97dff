/* Runs a target over the files it is given: for compilers without libFuzzer, and for looking at a crash. */
#include "input.h"

int main(int argc, char **argv)
{
    static uint8_t bytes[INPUT_MAX_BYTES / 2];
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        REQUIRE(file);
        const size_t length = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        /* at its own size, so that the sanitizer sees its end */
        uint8_t *input = malloc(length + !length);
        REQUIRE(input);
        memcpy(input, bytes, length);
        LLVMFuzzerTestOneInput(input, length);
        free(input);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
