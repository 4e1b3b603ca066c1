/* Compiles a JavaScript bundle (stdin) to the engine's byte code (stdout), without its source. Runs while the executable is built. */
#include <stdio.h>
#include <stdlib.h>

#include <quickjs.h>

static char *read_all(FILE *file, size_t *length)
{
    size_t size = 1 << 20;
    char *text = malloc(size);
    *length = 0;
    for (size_t count = 1; text && count > 0; *length += count) {
        if (size - *length < 2)
            text = realloc(text, size *= 2);
        count = text ? fread(text + *length, 1, size - *length - 1, file) : 0;
    }
    if (text)
        text[*length] = '\0'; /* the engine's parser wants it */
    return text;
}

static int fail(JSContext *js)
{
    const char *text = JS_ToCString(js, JS_GetException(js));
    fprintf(stderr, "cannot compile the bundle: %s\n", text ? text : "without words");
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    /* Names of functions are kept for a profile. */
    int strip = argc > 1 && argv[1][0] == 'p' ? 0 : JS_WRITE_OBJ_STRIP_SOURCE | JS_WRITE_OBJ_STRIP_DEBUG;
    size_t length, size;
    char *text = read_all(stdin, &length);
    JSRuntime *runtime = JS_NewRuntime();
    JSContext *js = runtime ? JS_NewContext(runtime) : NULL;
    if (!text || !js)
        return EXIT_FAILURE;
    JSValue code = JS_Eval(js, text, length, "bundle", JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(code))
        return fail(js);
    uint8_t *bytes = JS_WriteObject(js, &size, code, JS_WRITE_OBJ_BYTECODE | strip);
    return bytes && fwrite(bytes, 1, size, stdout) == size && fflush(stdout) == 0 ? EXIT_SUCCESS : fail(js);
}
