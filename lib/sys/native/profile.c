/*
 * Samples which functions of the bundle run, in executables that are built for that: PROFILE is defined, and names are kept. The engine
 * asks every twenty calls and backward jumps whether it should stop; each time the stack of that moment goes to descriptor 9.
 */
#include "host.h"

#ifdef PROFILE

#include <string.h>
#include <unistd.h>

enum { SAMPLES = 9 };

static int sample(JSRuntime *runtime, void *context)
{
    (void)runtime;
    JSContext *js = context;
    JS_ThrowInternalError(js, "sample");
    JSValue error = JS_GetException(js), stack = JS_GetPropertyStr(js, error, "stack");
    const char *text = JS_ToCString(js, stack);
    if (text && write(SAMPLES, text, strlen(text)) >= 0 && write(SAMPLES, "\n", 1) < 0)
        JS_SetInterruptHandler(runtime, NULL, NULL);
    JS_FreeCString(js, text);
    JS_FreeValue(js, stack);
    JS_FreeValue(js, error);
    return 0;
}

void profile_begin(JSContext *js)
{
    JS_SetInterruptHandler(JS_GetRuntime(js), sample, js);
}

#else

void profile_begin(JSContext *js)
{
    (void)js;
}

#endif
