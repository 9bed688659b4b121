// A job's document (api/spec.h), mutated by structure: values change places, enums change names, numbers
// become the ones that programs trip over. What is taken and completed is expanded to a text that reads back
// to itself.
#include "api/spec.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <string.h>

enum { NODES_MOST = 512 };

static const struct dataset_limits limits = {.rows = 500, .columns = 64, .classes = 20, .bytes = 1 << 18};

// What a document may be made of besides what stands in it: the contract's words, and numbers at edges.
static const char words[] = "dense batch_norm layer_norm activation dropout alpha_dropout residual identity "
                            "projection sigmoid relu leaky_relu "
                            "elu selu silu mish tanh softplus softsign hard_sigmoid gelu he_normal "
                            "he_uniform glorot_uniform lecun_normal "
                            "truncated_normal orthogonal constant zeros ones cross_entropy "
                            "binary_cross_entropy binary_focal focal hinge "
                            "squared_hinge huber mean_squared_error kl_divergence poly "
                            "generalized_cross_entropy adam adamw sgd lion rmsprop "
                            "adagrad adadelta adamax nadam amsgrad cosine cosine_restarts exponential "
                            "inverse_time polynomial step one_cycle "
                            "reduce_on_plateau keras keras_tf_sparse torch optax probabilities logits sum "
                            "mean balanced stratified random last "
                            "standardize min_max none median most_frequent refuse validation_loss "
                            "validation_accuracy max_norm l1 l2 blobs moons "
                            "spirals rings xor imbalanced local client NaN Infinity ";
static const double numbers[] = {0, 0.5, 0.1, 1e-7, 1e-300, 5e-324, 1e300, 1e308, -0.0, 2e9, 1e19};
static const json_int_t wholes[] = {
    0,         1,        2, 3, -1, 7, 32, 255, 4096, 16777216, 2147483648, 4294967296, 9007199254740991,
    INT64_MAX, INT64_MIN};
static const char names[] =
    "type units activation batch_norm dropout layers model loss optimizer training learning_rate schedule "
    "decay_steps "
    "warmup_steps momentum nesterov centered epsilon epsilon_placement clip_norm clip_value global_clip_norm "
    "weight_decay "
    "use_ema ema_momentum ema_overwrite_frequency gradient_accumulation_steps epochs batch_size seed shuffle "
    "threads "
    "time_limit stop_on_nan early_stopping monitor patience min_delta restore_best start_from_epoch "
    "validation_split split "
    "dataset generator rows features labels classes input scaling missing missing_value telemetry every "
    "class_weights "
    "pos_weight label_smoothing ignore_index temperature softcap z_loss margin delta gamma alpha q "
    "convention function "
    "kernel_regularizer bias_regularizer kernel_constraint max_value use_bias initializer gain stddev "
    "negative_slope rate "
    "append_output initial_weights job checkpoint_every_seconds retries executor name schema_version ";
#define COUNT(table) (sizeof(table) / sizeof *(table))

// A generator of its own, so that one seed is one mutation.
static unsigned draw(uint64_t *state, size_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((*state >> 33) % below);
}

// One of the words of a text in which each is followed by a blank.
static const char *draw_word(const char *text, uint64_t *state, char ret[32])
{
    const char *word = text;
    size_t count = 0;
    for (const char *at = text; *at; at++)
        count += *at == ' ';
    for (unsigned skip = draw(state, count); skip > 0; skip--)
        word = strchr(word, ' ') + 1;
    snprintf(ret, 32, "%.*s", (int)strcspn(word, " "), word);
    return ret;
}

static json_t *new_value(uint64_t *state)
{
    char word[32];
    switch (draw(state, 8)) {
    case 0:
    case 1:
    case 2:
        return json_string(draw_word(words, state, word));
    case 3:
        return json_real(numbers[draw(state, COUNT(numbers))]);
    case 4:
    case 5:
        return json_integer(wholes[draw(state, COUNT(wholes))]);
    case 6:
        return draw(state, 2) ? json_boolean(draw(state, 2)) : json_null();
    default:
        return draw(state, 2) ? json_object() : json_array();
    }
}

// The containers of a document, itself included.
static size_t collect(json_t *value, json_t *ret[NODES_MOST], size_t count)
{
    size_t index;
    const char *key;
    json_t *child;
    if (count == NODES_MOST || !(json_is_object(value) || json_is_array(value)))
        return count;
    ret[count++] = value;
    json_array_foreach(value, index, child) count = collect(child, ret, count);
    json_object_foreach(value, key, child) count = collect(child, ret, count);
    return count;
}

static const char *some_key(json_t *object, uint64_t *state)
{
    void *at = json_object_iter(object);
    for (unsigned skip = draw(state, json_object_size(object)); skip > 0; skip--)
        at = json_object_iter_next(object, at);
    return json_object_iter_key(at);
}

static void change_object(json_t *object, json_t *other, uint64_t *state)
{
    char word[32];
    const char *key = draw_word(names, state, word);
    if (json_object_size(object) > 0 && draw(state, 3))
        key = some_key(object, state);
    switch (draw(state, 4)) {
    case 0:
        json_object_del(object, key);
        break;
    case 1: // a copy of another part of the document
        json_object_set_new(object, key, json_deep_copy(other));
        break;
    default:
        json_object_set_new(object, key, new_value(state));
    }
}

static void change_array(json_t *array, json_t *other, uint64_t *state)
{
    size_t at = draw(state, json_array_size(array) + 1);
    switch (draw(state, 4)) {
    case 0:
        json_array_remove(array, at);
        break;
    case 1:
        json_array_insert_new(array, at, json_deep_copy(other));
        break;
    case 2:
        json_array_insert_new(array, at, new_value(state));
        break;
    default:
        json_array_set_new(array, at, new_value(state));
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed)
{
    uint64_t state = seed;
    json_error_t err;
    json_t *root = json_loadb((const char *)bytes, size, 0, &err), *nodes[NODES_MOST];
    if (!root || !(json_is_object(root) || json_is_array(root)) || draw(&state, 20) == 0) {
        json_decref(root);
        return LLVMFuzzerMutate(bytes, size, most);
    }
    for (unsigned i = draw(&state, 4); i < 4; i++) {
        size_t count = collect(root, nodes, 0);
        json_t *node = nodes[draw(&state, count)], *other = nodes[draw(&state, count)];
        if (json_is_object(node))
            change_object(node, other, &state);
        else
            change_array(node, other, &state);
    }
    char *text = json_dumps(root, JSON_COMPACT);
    size_t length = text ? strlen(text) : most + 1;
    if (length <= most)
        memcpy(bytes, text, length);
    free(text);
    json_decref(root);
    return length <= most ? length : LLVMFuzzerMutate(bytes, size, most);
}

static void expand(const struct job_spec *spec, struct buffer *ret)
{
    struct nabla_error err = {0};
    *ret = buffer_new(1 << 24);
    fuzz_require(spec_to_json(spec, ret, &err) == NABLA_OK);
}

// The expanded document, read, completed and expanded again, is the same text.
static void require_fixed_point(const struct job_spec *spec, const struct dataset *dataset)
{
    struct nabla_error err = {0};
    struct job_spec again;
    struct buffer once, twice;
    expand(spec, &once);
    enum nabla_code code = spec_from_json(once.data, once.size, &limits, &again, &err);
    if (code)
        fprintf(stderr, "%s: %s\n%s\n", err.pointer, err.text, once.data);
    fuzz_require(code == NABLA_OK);
    if (dataset)
        fuzz_require(spec_prepare(&again, dataset, &err) == NABLA_OK);
    expand(&again, &twice);
    if (once.size != twice.size || memcmp(once.data, twice.data, once.size) != 0)
        fprintf(stderr, "%s\n%s\n", once.data, twice.data);
    fuzz_require(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
    job_spec_free(&again);
    buffer_free(&once);
    buffer_free(&twice);
}

static void complete(struct job_spec *spec, struct dataset *dataset)
{
    struct nabla_error err = {0};
    struct train_cost cost;
    enum nabla_code code = spec_prepare(spec, dataset, &err);
    if (code == NABLA_OK)
        code = spec_cost(&spec->train, dataset, &cost, &err);
    if (code) {
        fuzz_require_reason(code, &err);
        return;
    }
    fuzz_require(cost.parameters > 0 && cost.bytes >= cost.parameters * sizeof(float));
    require_fixed_point(spec, dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nabla_error err = {0};
    struct job_spec spec;
    struct dataset *dataset = NULL;
    enum nabla_code code = spec_from_json((const char *)bytes, size, &limits, &spec, &err);
    if (code) {
        fuzz_require_reason(code, &err);
        return 0;
    }
    if (spec.source.kind != SOURCE_NONE && spec.source.kind != SOURCE_ID) {
        code = dataset_source_make(&spec.source, &limits, &dataset, &err);
        if (code)
            fuzz_require_reason(code, &err);
        else
            complete(&spec, dataset);
    }
    dataset_free(dataset);
    job_spec_free(&spec);
    return 0;
}
