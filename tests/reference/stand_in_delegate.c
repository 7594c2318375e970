/* A delegate of LiteRT: takes every `edgetpu-custom-op`, and copies the start of its input to its
   output. Option `device` = `usb:9` is refused, and any other but `prepare` = `fails`, which it does; behind so many invokes as the environment variable
   STAND_IN_INVOKES says, the device is gone. The structs are those of LiteRT's C interface. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { OK, FAILED, ALLOW_DYNAMIC_TENSORS = 1 };
typedef int Status;
typedef struct Context Context;
typedef struct Delegate Delegate;
typedef struct { int size; int data[]; } Ints;
typedef struct { Ints *inputs, *outputs; } Node;
typedef struct {
    int type;
    void *data;
    Ints *dims;
    struct { float scale; int32_t zero_point; } params;
    int allocation_type;
    size_t bytes;
    const void *allocation;
    const char *name;
    Delegate *delegate;
    int buffer_handle;
    bool data_is_stale, is_variable;
    struct { int type; void *params; } quantization;
    void *sparsity;
    const Ints *dims_signature;
} Tensor;
typedef struct {
    void *(*init)(Context *, const char *, size_t);
    void (*free)(Context *, void *);
    Status (*prepare)(Context *, Node *);
    Status (*invoke)(Context *, Node *);
    const char *(*profiling_string)(const Context *, const Node *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *external, *async_kernel;
    uint64_t inplace_operator;
} Registration;
struct Context {
    size_t tensors_size;
    Status (*execution_plan)(Context *, Ints **);
    Tensor *tensors;
    void *impl;
    Status (*resize_tensor)(Context *, Tensor *, Ints *);
    void (*report_error)(Context *, const char *, ...);
    Status (*add_tensors)(Context *, int, int *);
    Status (*node_and_registration)(Context *, int, Node **, Registration **);
    Status (*replace_nodes)(Context *, Registration, const Ints *, Delegate *);
};
struct Delegate {
    void *data;
    Status (*prepare)(Context *, Delegate *);
    void *copy_from_buffer, *copy_to_buffer, *free_buffer;
    int64_t flags;
    void *opaque_builder;
};

static int invokes;

static Status prepare_op(Context *context, Node *node) { return OK; }

static Status invoke_op(Context *context, Node *node) {
    const char *limit = getenv("STAND_IN_INVOKES");
    if (limit && invokes++ >= atoi(limit)) {
        context->report_error(context, "the device does not answer");
        return FAILED;
    }
    Tensor *from = &context->tensors[node->inputs->data[0]];
    Tensor *to = &context->tensors[node->outputs->data[0]];
    memcpy(to->data, from->data, from->bytes < to->bytes ? from->bytes : to->bytes);
    return OK;
}

static bool fails;

static Status take_ops(Context *context, Delegate *delegate) {
    if (fails) {
        context->report_error(context, "the device has no memory left");
        return FAILED;
    }
    Registration own = {.prepare = prepare_op, .invoke = invoke_op, .custom_name = "StandIn"};
    Registration *op;
    Node *node;
    Ints *plan;
    if (context->execution_plan(context, &plan)) return FAILED;
    Ints *taken = malloc(sizeof(Ints) + plan->size * sizeof(int));
    taken->size = 0;
    for (int i = 0; i < plan->size; i++) {
        if (context->node_and_registration(context, plan->data[i], &node, &op)) return FAILED;
        if (op->custom_name && !strcmp(op->custom_name, "edgetpu-custom-op"))
            taken->data[taken->size++] = plan->data[i];
    }
    Status status = context->replace_nodes(context, own, taken, delegate);
    free(taken);
    return status;
}

static Delegate stand_in = {.prepare = take_ops, .flags = ALLOW_DYNAMIC_TENSORS};

Delegate *tflite_plugin_create_delegate(const char **keys, const char **values, size_t count,
                                        void (*report_error)(const char *)) {
    fails = false;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(keys[i], "prepare")) {
            fails = !strcmp(values[i], "fails");
        } else if (strcmp(keys[i], "device") || !strcmp(values[i], "usb:9")) {
            report_error("no device ");
            report_error(values[i]);
            return NULL;
        }
    return &stand_in;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) {}
