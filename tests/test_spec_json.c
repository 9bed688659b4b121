// A job's document as JSON: what is written out of what was given, and what is refused where.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/spec.h"
#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct dataset_limits limits = {.rows = 1000, .columns = 50, .classes = 10, .bytes = 1 << 20};

static enum nabla_code read_spec(const char *text, struct job_spec *ret, struct nabla_error *err)
{
    return spec_from_json(text, strlen(text), &limits, ret, err);
}

static char *write_spec(const struct job_spec *spec)
{
    struct buffer text = buffer_new(1 << 20);
    struct nabla_error err = {0};
    assert_int_equal(spec_to_json(spec, &text, &err), NABLA_OK);
    return buffer_steal(&text, NULL);
}

// Twelve rows, two features, three classes.
static struct dataset *make_rows(void)
{
    struct dataset *made = NULL;
    struct nabla_error err = {0};
    assert_int_equal(dataset_new(12, 2, 3, &made, &err), NABLA_OK);
    for (size_t i = 0; i < made->rows; i++)
        made->ids[i] = (int32_t)(i % 3);
    return made;
}

// The document, completed for make_rows and written out.
static char *expand(const char *text)
{
    struct job_spec spec;
    struct nabla_error err = {0};
    struct dataset *rows = make_rows();
    if (read_spec(text, &spec, &err))
        fail_msg("%s: %s", text, err.text);
    if (spec_prepare(&spec, rows, &err))
        fail_msg("%s: %s: %s", text, err.pointer, err.text);
    char *written = write_spec(&spec);
    job_spec_free(&spec);
    dataset_free(rows);
    return written;
}

#define DENSE(units, initializer)                                                                            \
    "{\"type\":\"dense\",\"units\":" #units ",\"initializer\":\"" initializer                                \
    "\",\"use_bias\":true,\"kernel_regularizer\":null,\"kernel_constraint\":null,\"bias_regularizer\":null," \
    "\"bias_constraint\":null}"
#define BATCH_NORM                                                                                           \
    "{\"type\":\"batch_norm\",\"momentum\":0.99,\"epsilon\":0.001,\"gamma_regularizer\":null,\"gamma_"       \
    "constraint\":null,\"beta_regularizer\":null,\"beta_constraint\":null}"
#define ACTIVATION(name) "{\"type\":\"activation\",\"function\":\"" name "\"}"
#define OUTPUT           DENSE(3, "glorot_uniform")

static const struct {
    const char *comment, *document, *expected;
} expansions[] = {
    {"the output layer is added", "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[]}}",
     "\"layers\":[" OUTPUT "],\"append_output\":false"},
    {"a shorthand of units alone", "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":4}]}}",
     "\"layers\":[" DENSE(4, "glorot_uniform") "," OUTPUT "]"},
    {"a whole shorthand",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":4,\"activation\":\"relu\",\"batch_norm\":true,"
     "\"dropout\":0.25}]}}",
     "\"layers\":[" DENSE(4, "he_uniform") "," BATCH_NORM "," ACTIVATION(
         "relu") ",{\"type\":\"dropout\",\"rate\":0.25}," OUTPUT "]"},
    {"a dense layer may name its activation",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"type\":\"dense\",\"units\":4,\"activation\":\"tanh\"}]}"
     "}",
     "\"layers\":[" DENSE(4, "glorot_uniform") "," ACTIVATION("tanh") "," OUTPUT "]"},
    {"an activation's option is spelled out",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":4,\"activation\":\"leaky_relu\"},{\"type\":"
     "\"activation\",\"function\":\"elu\"}]}}",
     "{\"type\":\"activation\",\"function\":\"leaky_relu\",\"negative_slope\":0.2},{\"type\":\"activation\","
     "\"function\":\"elu\",\"alpha\":1}"},
    {"an activation's option as given",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":4},{\"type\":\"activation\",\"function\":"
     "\"leaky_relu\",\"negative_slope\":0.3}]}}",
     "\"negative_slope\":0.3"},
    {"linear adds no layer",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":4,\"activation\":\"linear\"}]}}",
     "\"layers\":[" DENSE(4, "glorot_uniform") "," OUTPUT "]"},
    {"the initialiser follows the activation, past a batch_norm",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"type\":\"dense\",\"units\":4},{\"type\":\"batch_norm\"}"
     ","
     "{\"type\":\"activation\",\"function\":\"relu\"}]}}",
     "\"layers\":[" DENSE(4, "he_uniform") "," BATCH_NORM "," ACTIVATION("relu") "," OUTPUT "]"},
    {"batch_norm after the activation stays there",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"type\":\"dense\",\"units\":4,\"activation\":\"relu\"},"
     "{\"type\":\"batch_norm\"}]}}",
     "\"layers\":[" DENSE(4, "he_uniform") "," ACTIVATION("relu") "," BATCH_NORM "," OUTPUT "]"},
    {"a written initialiser stays",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":4,\"activation\":\"relu\",\"initializer\":"
     "\"glorot_normal\"}]}}",
     "\"layers\":[" DENSE(4, "glorot_normal") "," ACTIVATION("relu") "," OUTPUT "]"},
    {"an initialiser's option is spelled out",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":4,\"initializer\":\"normal\"},{\"units\":5,"
     "\"activation\":\"selu\"}]}}",
     "\"layers\":[{\"type\":\"dense\",\"units\":4,\"initializer\":{\"type\":\"normal\",\"stddev\":0.05},"
     "\"use_bias\":true,\"kernel_regularizer\":null,\"kernel_constraint\":null,\"bias_regularizer\":null,"
     "\"bias_constraint\":null}," DENSE(5, "lecun_normal")},
    {"an initialiser's option as given",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":4,\"activation\":\"relu\",\"initializer\":"
     "{\"type\":\"constant\",\"value\":-2}}]}}",
     "\"initializer\":{\"type\":\"constant\",\"value\":-2}"},
    {"a written output layer is not added again",
     "{\"dataset\":\"ds_1\",\"model\":{\"append_output\":false,\"layers\":[{\"units\":3}]}}",
     "\"layers\":[" OUTPUT "],\"append_output\":false"},
    {"the loss by its name", "{\"dataset\":\"ds_1\",\"model\":{},\"loss\":\"cross_entropy\"}",
     "\"loss\":{\"type\":\"cross_entropy\",\"input\":\"logits\",\"convention\":\"exact\",\"class_weights\":"
     "null,"
     "\"ignore_index\":null,\"label_smoothing\":0,\"z_loss\":0,\"softcap\":0,\"temperature\":1}"},
    {"balanced class weights",
     "{\"dataset\":\"ds_1\",\"model\":{},\"loss\":{\"class_weights\":\"balanced\"}}",
     "\"class_weights\":\"balanced\""},
    {"class weights in a list",
     "{\"dataset\":\"ds_1\",\"model\":{},\"loss\":{\"class_weights\":[1,0.5,0.1]}}",
     "\"class_weights\":[1,0.5,0.1]"},
    {"the optimiser by its name", "{\"dataset\":\"ds_1\",\"model\":{},\"optimizer\":\"sgd\"}",
     "\"optimizer\":{\"type\":\"sgd\",\"learning_rate\":0.01,\"momentum\":0,\"weight_decay\":0,\"clip_"
     "value\":0,\"clip_norm\":0,\"global_clip_norm\":0,\"gradient_accumulation_steps\":1,\"ema_momentum\":0."
     "99,\"ema_overwrite_frequency\":0,\"nesterov\":"
     "false,\"use_ema\":false}"},
    {"Adam is the default, epsilon spelled out", "{\"dataset\":\"ds_1\",\"model\":{}}",
     "\"optimizer\":{\"type\":\"adam\",\"learning_rate\":0.001,\"beta_1\":0.9,\"beta_2\":0.999,\"epsilon\":"
     "1e-07,"
     "\"weight_decay\":0,\"clip_value\":0,\"clip_norm\":0,\"global_clip_norm\":0,\"gradient_accumulation_"
     "steps\":1,\"ema_momentum\":0.99,\"ema_overwrite_frequency\":0,\"use_ema\":false,\"epsilon_placement\":"
     "\"uncorrected\"}"},
    {"AdamW decays, and keeps what is given",
     "{\"dataset\":\"ds_1\",\"model\":{},\"optimizer\":{\"type\":\"adamw\",\"beta_2\":0.99}}",
     "\"optimizer\":{\"type\":\"adamw\",\"learning_rate\":0.001,\"beta_1\":0.9,\"beta_2\":0.99,\"epsilon\":"
     "1e-07,\"weight_decay\":0.004,\"clip_value\":0,\"clip_norm\":0,\"global_clip_norm\":0,\"gradient_"
     "accumulation_steps\":1,\"ema_momentum\":0.99,\"ema_overwrite_frequency\":0,\"use_ema\":false,\"epsilon_"
     "placement\":\"uncorrected\"}"},
    {"a schedule over the whole job, spelled out",
     "{\"dataset\":\"ds_1\",\"model\":{},\"optimizer\":{\"type\":\"sgd\",\"learning_rate\":{\"schedule\":"
     "\"cosine\","
     "\"warmup_steps\":3}}}",
     "\"learning_rate\":{\"schedule\":\"cosine\",\"initial_learning_rate\":0.01,\"decay_steps\":7,\"alpha\":"
     "0,"
     "\"warmup_steps\":3,\"warmup_initial_learning_rate\":0},\"momentum\":0"},
    {"a schedule with its flag",
     "{\"dataset\":\"ds_1\",\"model\":{},\"optimizer\":{\"learning_rate\":{\"schedule\":\"exponential\","
     "\"decay_steps\":5,"
     "\"initial_learning_rate\":0.5,\"staircase\":true}}}",
     "{\"schedule\":\"exponential\",\"initial_learning_rate\":0.5,\"decay_steps\":5,\"decay_rate\":0.96,"
     "\"warmup_steps\":0,"
     "\"warmup_initial_learning_rate\":0,\"staircase\":true}"},
    {"one cycle has its highest rate",
     "{\"dataset\":\"ds_1\",\"model\":{},\"optimizer\":{\"learning_rate\":{\"schedule\":\"one_cycle\",\"max_"
     "learning_rate\":"
     "0.1}}}",
     "{\"schedule\":\"one_cycle\",\"max_learning_rate\":0.1,\"total_steps\":10,\"pct_start\":0.3,\"div_"
     "factor\":25,"},
    {"constant without a warm-up is a number",
     "{\"dataset\":\"ds_1\",\"model\":{},\"optimizer\":{\"learning_rate\":{\"schedule\":\"constant\"}}}",
     "\"learning_rate\":0.001,"},
    {"RMSprop's fields",
     "{\"dataset\":\"ds_1\",\"model\":{},\"optimizer\":{\"type\":\"rmsprop\",\"centered\":true}}",
     "\"optimizer\":{\"type\":\"rmsprop\",\"learning_rate\":0.001,\"momentum\":0,\"rho\":0.9,\"epsilon\":1e-"
     "07,"
     "\"weight_decay\":0,\"clip_value\":0,\"clip_norm\":0,\"global_clip_norm\":0,\"gradient_accumulation_"
     "steps\":1,\"ema_momentum\":0.99,\"ema_overwrite_frequency\":0,\"centered\":true,\"use_ema\":false}"},
    {"Adagrad's fields", "{\"dataset\":\"ds_1\",\"model\":{},\"optimizer\":\"adagrad\"}",
     "\"initial_accumulator_value\":0.1,\"epsilon\":1e-07,\"weight_decay\":0,\"clip_value\":0,\"clip_norm\":"
     "0,\"global_clip_norm\":0,\"gradient_accumulation_steps\":1,\"ema_momentum\":0.99,\"ema_overwrite_"
     "frequency\":0,\"use_ema\":false}"},
    {"Lion's fields", "{\"dataset\":\"ds_1\",\"model\":{},\"optimizer\":\"lion\"}",
     "\"learning_rate\":0.001,\"beta_1\":0.9,\"beta_2\":0.99,\"weight_decay\":0,\"clip_value\":0,\"clip_"
     "norm\":0,\"global_clip_norm\":0,\"gradient_accumulation_steps\":1,\"ema_momentum\":0.99,\"ema_"
     "overwrite_frequency\":0,\"use_ema\":false}"},
    {"training's defaults", "{\"dataset\":\"ds_1\",\"model\":{}}",
     "\"training\":{\"epochs\":10,\"batch_size\":32,\"validation_split\":0.2,\"split\":\"stratified\","
     "\"seed\":0,"
     "\"shuffle\":true,\"standardize\":true,\"scaling\":\"standardize\",\"missing\":\"refuse\",\"missing_"
     "value\":0,\"early_stopping\":null,\"stop_on_"
     "nan\":false,\"time_limit\":0,"
     "\"checkpoint_every_seconds\":10,\"threads\":1}"},
    {"a stream that is left open",
     "{\"dataset\":\"ds_1\",\"model\":{},\"training\":{\"streaming\":null,\"shuffle_buffer\":7}}",
     "\"scaling\":\"standardize\",\"shuffle_buffer\":7,\"missing\""},
    {"a stream", "{\"dataset\":\"ds_1\",\"model\":{},\"training\":{\"streaming\":true}}",
     "\"scaling\":\"standardize\",\"streaming\":true,\"missing\""},
    {"no stream", "{\"dataset\":\"ds_1\",\"model\":{},\"training\":{\"streaming\":false}}",
     "\"streaming\":false,"},
    {"scaling by its older word", "{\"dataset\":\"ds_1\",\"model\":{},\"training\":{\"standardize\":false}}",
     "\"standardize\":false,\"scaling\":\"none\""},
    {"scaling to a range, as its own document says it",
     "{\"dataset\":\"ds_1\",\"model\":{},\"training\":{\"standardize\":false,\"scaling\":\"min_max\"}}",
     "\"standardize\":false,\"scaling\":\"min_max\""},
    {"telemetry, retries and executor", "{\"dataset\":\"ds_1\",\"model\":{}}",
     "\"telemetry\":{\"every\":1,\"histograms_every\":1},\"retries\":0,\"executor\":\"local\"}"},
    {"version, name and data set stand first",
     "{\"retries\":2,\"model\":{},\"dataset\":\"ds_1\",\"name\":\"a \\\"b\\\"\"}",
     "{\"schema_version\":1,\"name\":\"a \\\"b\\\"\",\"dataset\":\"ds_1\",\"model\":"},
    {"a weight below no number",
     "{\"dataset\":\"ds_1\",\"model\":{},\"loss\":{\"class_weights\":[-0.0,1,1]}}",
     "\"class_weights\":[0,1,1]"},
    {"null is absent", "{\"dataset\":\"ds_1\",\"model\":{\"layers\":null},\"optimizer\":null,\"name\":null}",
     "\"optimizer\":{\"type\":\"adam\""},
};

static void every_default_is_written_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof expansions / sizeof *expansions; i++) {
        char *written = expand(expansions[i].document);
        if (!strstr(written, expansions[i].expected))
            fail_msg("%s: no %s in %s", expansions[i].comment, expansions[i].expected, written);
        free(written);
    }
}

static void an_expanded_document_reads_back_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof expansions / sizeof *expansions; i++) {
        char *once = expand(expansions[i].document);
        char *twice = expand(once);
        assert_string_equal(once, twice);
        free(once);
        free(twice);
    }
}

#define MODEL        "\"dataset\":\"ds_1\",\"model\":{}"
#define LAYERS(list) "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[" list "]}}"

static const struct {
    const char *comment, *document, *pointer;
} refusals[] = {
    {"an unknown field", "{" MODEL ",\"epochs\":3}", "/epochs"},
    {"no model", "{\"dataset\":\"ds_1\"}", "/model"},
    {"a data set that is no id", "{\"dataset\":\"digits\",\"model\":{}}", "/dataset"},
    {"a data set that is a number", "{\"dataset\":3,\"model\":{}}", "/dataset"},
    {"another schema", "{" MODEL ",\"schema_version\":2}", "/schema_version"},
    {"an unknown way with what is missing", "{" MODEL ",\"training\":{\"missing\":\"drop\"}}",
     "/training/missing"},
    {"an unknown scaling", "{" MODEL ",\"training\":{\"scaling\":\"log\"}}", "/training/scaling"},
    {"a scaling that contradicts", "{" MODEL ",\"training\":{\"scaling\":\"min_max\",\"standardize\":true}}",
     "/training/scaling"},
    {"an unknown executor", "{" MODEL ",\"executor\":\"moon\"}", "/executor"},
    {"negative retries", "{" MODEL ",\"retries\":-1}", "/retries"},
    {"layers that are no list", "{\"dataset\":\"ds_1\",\"model\":{\"layers\":{}}}", "/model/layers"},
    {"a layer that is no object", LAYERS("{\"units\":1},7"), "/model/layers/1"},
    {"an unknown type of layer", LAYERS("{\"type\":\"conv\"}"), "/model/layers/0/type"},
    {"no units", LAYERS("{\"type\":\"dense\"}"), "/model/layers/0/units"},
    {"no units in the shorthand", LAYERS("{\"activation\":\"relu\"}"), "/model/layers/0/units"},
    {"zero units", LAYERS("{\"units\":0}"), "/model/layers/0/units"},
    {"units that are no whole number", LAYERS("{\"units\":2.5}"), "/model/layers/0/units"},
    {"an unknown activation", LAYERS("{\"units\":2,\"activation\":\"softmax\"}"),
     "/model/layers/0/activation"},
    {"an activation without function", LAYERS("{\"type\":\"activation\"}"), "/model/layers/0/function"},
    {"an option of another activation", LAYERS("{\"type\":\"activation\",\"function\":\"gelu\",\"alpha\":1}"),
     "/model/layers/0/alpha"},
    {"a leak that is steeper than what it leaks beside",
     LAYERS("{\"type\":\"activation\",\"function\":\"leaky_relu\",\"negative_slope\":2}"),
     "/model/layers/0/negative_slope"},
    {"an unknown initialiser", LAYERS("{\"units\":2,\"initializer\":\"kaiming\"}"),
     "/model/layers/0/initializer"},
    {"an option of another initialiser",
     LAYERS("{\"units\":2,\"initializer\":{\"type\":\"normal\",\"gain\":2}}"),
     "/model/layers/0/initializer/gain"},
    {"a negative range", LAYERS("{\"units\":2,\"initializer\":{\"type\":\"uniform\",\"range\":-1}}"),
     "/model/layers/0/initializer/range"},
    {"dropout of everything", LAYERS("{\"units\":2},{\"type\":\"dropout\",\"rate\":1}"),
     "/model/layers/1/rate"},
    {"a shorthand's field in a typed layer", LAYERS("{\"type\":\"dense\",\"units\":2,\"batch_norm\":true}"),
     "/model/layers/0/batch_norm"},
    {"batch_norm with a bad epsilon", LAYERS("{\"type\":\"batch_norm\",\"epsilon\":0}"),
     "/model/layers/0/epsilon"},
    {"an unknown loss", "{" MODEL ",\"loss\":\"l3\"}", "/loss"},
    {"an unknown loss in an object", "{" MODEL ",\"loss\":{\"type\":\"l3\"}}", "/loss/type"},
    {"an option of another loss", "{" MODEL ",\"loss\":{\"gamma\":2}}", "/loss/gamma"},
    {"smoothing above 1", "{" MODEL ",\"loss\":{\"label_smoothing\":1.5}}", "/loss/label_smoothing"},
    {"a negative class weight", "{" MODEL ",\"loss\":{\"class_weights\":[1,-1,1]}}", "/loss/class_weights"},
    {"class weights of another word", "{" MODEL ",\"loss\":{\"class_weights\":\"even\"}}",
     "/loss/class_weights"},
    {"an unknown optimiser", "{" MODEL ",\"optimizer\":\"lbfgs\"}", "/optimizer"},
    {"a negative clip", "{" MODEL ",\"optimizer\":{\"clip_norm\":-1}}", "/optimizer/clip_norm"},
    {"a negative decay", "{" MODEL ",\"optimizer\":{\"weight_decay\":-1}}", "/optimizer/weight_decay"},
    {"an epsilon of 0", "{" MODEL ",\"optimizer\":{\"epsilon\":0}}", "/optimizer/epsilon"},
    {"Nadam has one place for its epsilon",
     "{" MODEL ",\"optimizer\":{\"type\":\"nadam\",\"epsilon_placement\":\"corrected\"}}",
     "/optimizer/epsilon_placement"},
    {"Adam's beta at 1", "{" MODEL ",\"optimizer\":{\"type\":\"adam\",\"beta_1\":1}}", "/optimizer/beta_1"},
    {"SGD has no beta", "{" MODEL ",\"optimizer\":{\"type\":\"sgd\",\"beta_1\":0.9}}", "/optimizer/beta_1"},
    {"a negative learning rate", "{" MODEL ",\"optimizer\":{\"learning_rate\":-1}}",
     "/optimizer/learning_rate"},
    {"an unknown schedule", "{" MODEL ",\"optimizer\":{\"learning_rate\":{\"schedule\":\"zigzag\"}}}",
     "/optimizer/learning_rate/schedule"},
    {"a schedule without its name", "{" MODEL ",\"optimizer\":{\"learning_rate\":{}}}",
     "/optimizer/learning_rate/schedule"},
    {"a schedule without its steps",
     "{" MODEL ",\"optimizer\":{\"learning_rate\":{\"schedule\":\"cosine_restarts\"}}}",
     "/optimizer/learning_rate/first_decay_steps"},
    {"a field of another schedule",
     "{" MODEL ",\"optimizer\":{\"learning_rate\":{\"schedule\":\"cosine\",\"patience\":3}}}",
     "/optimizer/learning_rate/patience"},
    {"half a step of warm-up",
     "{" MODEL ",\"optimizer\":{\"learning_rate\":{\"schedule\":\"cosine\",\"warmup_steps\":0.5}}}",
     "/optimizer/learning_rate/warmup_steps"},
    {"no epochs", "{" MODEL ",\"training\":{\"epochs\":0}}", "/training/epochs"},
    {"half a batch", "{" MODEL ",\"training\":{\"batch_size\":0.5}}", "/training/batch_size"},
    {"validation of everything", "{" MODEL ",\"training\":{\"validation_split\":1}}",
     "/training/validation_split"},
    {"an unknown split", "{" MODEL ",\"training\":{\"split\":\"first\"}}", "/training/split"},
    {"a seed beyond 2^53", "{" MODEL ",\"training\":{\"seed\":9007199254740992}}", "/training/seed"},
    {"a seed beyond 64 bits", "{" MODEL ",\"training\":{\"seed\":18446744073709551616}}", "/training/seed"},
    {"a stream that is a number", "{" MODEL ",\"training\":{\"streaming\":1}}", "/training/streaming"},
    {"no rows to shuffle", "{" MODEL ",\"training\":{\"shuffle_buffer\":0}}", "/training/shuffle_buffer"},
    {"a text for a truth value", "{" MODEL ",\"training\":{\"shuffle\":\"yes\"}}", "/training/shuffle"},
    {"telemetry's unknown field", "{" MODEL ",\"telemetry\":{\"each\":1}}", "/telemetry/each"},
    {"an unknown generator", "{\"dataset\":{\"generator\":\"sheep\"},\"model\":{}}", "/dataset/generator"},
    {"an empty data set object", "{\"dataset\":{},\"model\":{}}", "/dataset/generator"},
    {"a generator's features in a list",
     "{\"dataset\":{\"generator\":\"blobs\",\"features\":[1]},\"model\":{}}", "/dataset/features"},
    {"fewer labels than rows", "{\"dataset\":{\"features\":[[1],[2],[3]],\"labels\":[0,1]},\"model\":{}}",
     "/dataset/labels"},
    {"a label that is no id", "{\"dataset\":{\"features\":[[1],[2]],\"labels\":[0,0.5]},\"model\":{}}",
     "/dataset/labels"},
    {"a label beyond the classes",
     "{\"dataset\":{\"features\":[[1],[2]],\"labels\":[0,2],\"classes\":2},\"model\":{}}", "/dataset/labels"},
    {"a single class", "{\"dataset\":{\"features\":[[1],[2]],\"labels\":[0,0]},\"model\":{}}",
     "/dataset/labels"},
    {"a feature that is NaN", "{\"dataset\":{\"features\":[[1],[\"NaN\"]],\"labels\":[0,1]},\"model\":{}}",
     "/dataset/features"},
    {"fewer rows of targets", "{\"dataset\":{\"features\":[[1],[2]],\"labels\":[[0.5]]},\"model\":{}}",
     "/dataset/labels"},
    {"a target beyond float32",
     "{\"dataset\":{\"features\":[[1],[2]],\"labels\":[[0.5],[1e40]]},\"model\":{}}", "/dataset/labels"},
    {"fewer weights than rows",
     "{\"dataset\":{\"features\":[[1],[2]],\"labels\":[0,1],\"sample_weights\":[1]},\"model\":{}}",
     "/dataset/sample_weights"},
    {"a negative weight",
     "{\"dataset\":{\"features\":[[1],[2]],\"labels\":[0,1],\"sample_weights\":[1,-1]},\"model\":{}}",
     "/dataset/sample_weights"},
    {"weights that are a text",
     "{\"dataset\":{\"features\":[[1],[2]],\"labels\":[0,1],\"sample_weights\":\"all\"},\"model\":{}}",
     "/dataset/sample_weights"},
    {"an empty branch",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"type\":\"residual\",\"layers\":[]}]}}",
     "/model/layers/0/layers"},
    {"a branch's own mistake",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":3},{\"type\":\"residual\",\"layers\":[{"
     "\"type\":"
     "\"layer_norm\",\"epsilon\":0}]}]}}",
     "/model/layers/1/layers/0/epsilon"},
    {"an unknown regulariser",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":3,\"kernel_regularizer\":\"l3\"}]}}",
     "/model/layers/0/kernel_regularizer"},
    {"a penalty of another kind",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":3,\"bias_regularizer\":{\"type\":\"l1\",\"l2\":"
     "1}}]}}",
     "/model/layers/0/bias_regularizer/l2"},
    {"a norm of 0",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":3,\"kernel_constraint\":{\"max_value\":0}}]}}",
     "/model/layers/0/kernel_constraint/max_value"},
    {"no batch an update", "{" MODEL ",\"optimizer\":{\"type\":\"sgd\",\"gradient_accumulation_steps\":0}}",
     "/optimizer/gradient_accumulation_steps"},
    {"an unknown monitor", "{" MODEL ",\"training\":{\"early_stopping\":{\"monitor\":\"f1\"}}}",
     "/training/early_stopping/monitor"},
    {"early stopping that is a number", "{" MODEL ",\"training\":{\"early_stopping\":3}}",
     "/training/early_stopping"},
    {"a limit before the start", "{" MODEL ",\"training\":{\"time_limit\":-1}}", "/training/time_limit"},
    {"flat features", "{\"dataset\":{\"features\":[1,2],\"labels\":[0,1]},\"model\":{}}",
     "/dataset/features"},
};

static void what_is_wrong_is_named_by_its_pointer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct job_spec spec;
        struct nabla_error err = {0};
        if (read_spec(refusals[i].document, &spec, &err) == NABLA_OK)
            fail_msg("%s was taken: %s", refusals[i].comment, refusals[i].document);
        if (strcmp(err.pointer, refusals[i].pointer) != 0)
            fail_msg("%s: at %s (%s), not %s", refusals[i].comment, err.pointer, err.text,
                     refusals[i].pointer);
    }
}

static void all_problems_come_in_one_text(void **state)
{
    (void)state;
    struct job_spec spec;
    struct nabla_error err = {0};
    assert_int_equal(read_spec("{" MODEL ",\"x\":1,\"training\":{\"epochs\":0,\"seed\":-1}}", &spec, &err),
                     NABLA_INVALID);
    assert_non_null(strstr(err.text, "/training/epochs"));
    assert_non_null(strstr(err.text, "/training/seed"));
    assert_non_null(strstr(err.text, "/x"));
}

static const struct {
    const char *comment, *document, *pointer;
} mismatches[] = {
    {"the written output has the wrong width",
     "{\"dataset\":\"ds_1\",\"model\":{\"append_output\":false,\"layers\":[{\"units\":8,\"activation\":"
     "\"relu\","
     "\"batch_norm\":true},{\"units\":5}]}}",
     "/model/layers/1/units"},
    {"two class weights for three classes", "{" MODEL ",\"loss\":{\"class_weights\":[1,2]}}",
     "/loss/class_weights"},
    {"two ways to clip at once", "{" MODEL ",\"optimizer\":{\"clip_norm\":1,\"clip_value\":1}}",
     "/optimizer"},
    {"a path that does not exist",
     "{" MODEL ",\"loss\":{\"input\":\"probabilities\",\"convention\":\"optax\"}}", "/loss/convention"},
    {"no projection within a residual within another",
     "{\"dataset\":\"ds_1\",\"model\":{\"layers\":[{\"units\":2},{\"type\":\"residual\",\"layers\":[{"
     "\"type\":"
     "\"residual\",\"projection\":false,\"layers\":[{\"units\":3}]}]}]}}",
     "/model/layers/1/layers/0/projection"},
};

static void what_does_not_fit_the_data_points_at_what_was_written(void **state)
{
    (void)state;
    struct dataset *rows = make_rows();
    for (size_t i = 0; i < sizeof mismatches / sizeof *mismatches; i++) {
        struct job_spec spec;
        struct nabla_error err = {0};
        assert_int_equal(read_spec(mismatches[i].document, &spec, &err), NABLA_OK);
        assert_int_not_equal(spec_prepare(&spec, rows, &err), NABLA_OK);
        if (strcmp(err.pointer, mismatches[i].pointer) != 0)
            fail_msg("%s: at %s", mismatches[i].comment, err.pointer);
        job_spec_free(&spec);
    }
    dataset_free(rows);
}

static void a_clients_document_keeps_only_what_was_given(void **state)
{
    (void)state;
    struct job_spec spec;
    struct nabla_error err = {0};
    assert_int_equal(
        read_spec("{\"executor\":\"client\",\"name\":\"torch\",\"optimizer\":\"sgd\"}", &spec, &err),
        NABLA_OK);
    char *written = write_spec(&spec);
    assert_null(strstr(written, "\"model\""));
    assert_null(strstr(written, "\"training\""));
    assert_non_null(strstr(written, "\"optimizer\":{\"type\":\"sgd\""));
    assert_non_null(strstr(written, "\"executor\":\"client\""));
    free(written);
    job_spec_free(&spec);
}

static void rows_in_the_document_become_a_data_set(void **state)
{
    (void)state;
    static const char document[] =
        "{\"dataset\":{\"features\":[[1,2],[3,4],[5,6.5]],\"labels\":[\"cat\",\"ant\",\"cat\"],"
        "\"feature_names\":[\"a\",\"b\"]},\"model\":{}}";
    struct job_spec spec;
    struct dataset *rows = NULL;
    struct nabla_error err = {0};
    assert_int_equal(read_spec(document, &spec, &err), NABLA_OK);
    assert_int_equal(dataset_source_make(&spec.source, &limits, &rows, &err), NABLA_OK);
    assert_int_equal(rows->rows, 3);
    assert_int_equal(rows->columns, 2);
    assert_int_equal(rows->classes, 2);
    assert_string_equal(rows->class_names[0], "ant");
    assert_string_equal(rows->class_names[1], "cat");
    assert_string_equal(rows->feature_names[1], "b");
    assert_int_equal(rows->ids[0], 1);
    assert_int_equal(rows->ids[1], 0);
    assert_true(rows->features[5] == 6.5F);
    dataset_free(rows);
    job_spec_free(&spec);
}

static void the_rows_may_come_from_elsewhere(void **state)
{
    (void)state;
    struct job_spec spec;
    struct nabla_error err = {0};
    assert_int_equal(read_spec("{\"model\":{}}", &spec, &err), NABLA_OK);
    assert_int_equal(spec.source.kind, SOURCE_NONE);
    job_spec_free(&spec);
}

static void a_generator_takes_its_sizes(void **state)
{
    (void)state;
    struct job_spec spec;
    struct nabla_error err = {0};
    assert_int_equal(
        read_spec("{\"dataset\":{\"generator\":\"blobs\",\"rows\":40,\"features\":3,\"classes\":4,"
                  "\"seed\":7},\"model\":{}}",
                  &spec, &err),
        NABLA_OK);
    assert_int_equal(spec.source.kind, SOURCE_GENERATOR);
    assert_int_equal(spec.source.generator.type, GENERATOR_BLOBS);
    assert_int_equal(spec.source.generator.rows, 40);
    assert_int_equal(spec.source.generator.features, 3);
    assert_int_equal(spec.source.generator.classes, 4);
    assert_int_equal(spec.source.generator.seed, 7);
    job_spec_free(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_written_out),
        cmocka_unit_test(an_expanded_document_reads_back_the_same),
        cmocka_unit_test(what_is_wrong_is_named_by_its_pointer),
        cmocka_unit_test(all_problems_come_in_one_text),
        cmocka_unit_test(what_does_not_fit_the_data_points_at_what_was_written),
        cmocka_unit_test(a_clients_document_keeps_only_what_was_given),
        cmocka_unit_test(rows_in_the_document_become_a_data_set),
        cmocka_unit_test(the_rows_may_come_from_elsewhere),
        cmocka_unit_test(a_generator_takes_its_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
