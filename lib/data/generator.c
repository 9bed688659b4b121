// One table row and one small function a generator: where a row of a class lies before noise is added.
//
// Every random number has a place of its own: one stream draws what belongs to the classes (centres), another
// the rows; no one else's streams of the same seed have these numbers. Bits are the same everywhere, so
// nothing here calls libm but sqrt (exactly rounded).
#include "data/generator.h"

#include "base/size.h"
#include "data/generator_target.h"
#include "math/elementary.h"
#include "math/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_CENTRES = 0x67656e01, STREAM_ROWS }; // "gen"

static const double NOISE_MAX = 1e6;

// What a row is made from.
struct sample {
    const struct generator *generator;
    const float *centres; // classes × features, of the blobs
    size_t class;
    double fraction;       // of the way through the class, in [0, 1)
    struct random *random; // for what is drawn besides the noise
};

static void place_blob(const struct sample *sample, float *row)
{
    size_t features = sample->generator->features;
    memcpy(row, sample->centres + sample->class * features, features * sizeof *row);
}

// The upper half circle, and the lower one moved into it.
static void place_moon(const struct sample *sample, float *row)
{
    double sine, cosine;
    elementary_sincos(sample->fraction / 2, &sine, &cosine);
    row[0] = (float)(sample->class == 0 ? cosine : 1 - cosine);
    row[1] = (float)(sample->class == 0 ? sine : 0.5 - sine);
}

// One and a half turns outwards; the arms share the circle evenly.
static void place_spiral(const struct sample *sample, float *row)
{
    double sine, cosine;
    double arm = (double)sample->class / (double)sample->generator->classes;
    elementary_sincos(1.5 * sample->fraction + arm, &sine, &cosine);
    row[0] = (float)(sample->fraction * cosine);
    row[1] = (float)(sample->fraction * sine);
}

static void place_ring(const struct sample *sample, float *row)
{
    double sine, cosine;
    double radius = (double)(sample->class + 1) / (double)sample->generator->classes;
    elementary_sincos(sample->fraction, &sine, &cosine);
    row[0] = (float)(radius * cosine);
    row[1] = (float)(radius * sine);
}

// Uniform in [-1, 1)²; the class is whether the signs differ.
static void place_xor(const struct sample *sample, float *row)
{
    float x = random_float(sample->random), y = random_float(sample->random);
    bool left = random_u32(sample->random) & 1;
    row[0] = left ? -x : x;
    row[1] = left != (sample->class == 1) ? -y : y;
}

static void place_random(const struct sample *sample, float *row)
{
    for (size_t i = 0; i < sample->generator->features; i++)
        row[i] = random_float(sample->random);
}

struct generator_kind {
    const char *name;
    void (*place)(const struct sample *sample, float *row);
    generator_target *target;                            // of rows with targets, instead of `place`
    size_t fixed_features, fixed_classes, fixed_targets; // 0: free
    size_t least_features;
    struct generator defaults;
    bool label_is_random; // the classes are drawn, not dealt out
};

static const struct generator_kind kinds[] = {
    [GENERATOR_BLOBS] = {.name = "blobs",
                         .place = place_blob,
                         .defaults = {.features = 2, .classes = 3, .noise = 1}},
    [GENERATOR_MOONS] = {.name = "moons",
                         .place = place_moon,
                         .fixed_features = 2,
                         .fixed_classes = 2,
                         .defaults = {.features = 2, .classes = 2, .noise = 0.1}},
    [GENERATOR_SPIRALS] = {.name = "spirals",
                           .place = place_spiral,
                           .fixed_features = 2,
                           .defaults = {.features = 2, .classes = 3, .noise = 0.02}},
    [GENERATOR_RINGS] = {.name = "rings",
                         .place = place_ring,
                         .fixed_features = 2,
                         .defaults = {.features = 2, .classes = 2, .noise = 0.05}},
    [GENERATOR_XOR] = {.name = "xor",
                       .place = place_xor,
                       .fixed_features = 2,
                       .fixed_classes = 2,
                       .defaults = {.features = 2, .classes = 2}},
    [GENERATOR_IMBALANCED] = {.name = "imbalanced",
                              .place = place_blob,
                              .defaults = {.features = 4, .classes = 10, .noise = 1, .imbalance = 100}},
    [GENERATOR_RANDOM] = {.name = "random",
                          .place = place_random,
                          .defaults = {.features = 4, .classes = 10},
                          .label_is_random = true},
    [GENERATOR_LINEAR] = {.name = "linear",
                          .target = target_linear,
                          .defaults = {.features = 4, .targets = 1, .noise = 0.1}},
    [GENERATOR_FRIEDMAN] = {.name = "friedman",
                            .target = target_friedman,
                            .least_features = 5,
                            .fixed_targets = 1,
                            .defaults = {.features = 10, .targets = 1, .noise = 1}},
    [GENERATOR_LABELS] = {.name = "labels",
                          .target = target_labels,
                          .defaults = {.features = 4, .targets = 3, .noise = 0.1}},
};
_Static_assert(sizeof kinds / sizeof *kinds == GENERATOR_COUNT, "every generator has its row");

struct generator generator_defaults(enum generator_type type)
{
    struct generator generator = kinds[type].defaults;
    generator.type = type;
    generator.rows = 1000;
    if (generator.imbalance < 1)
        generator.imbalance = 1;
    return generator;
}

const char *generator_name(enum generator_type type)
{
    return (unsigned)type < GENERATOR_COUNT ? kinds[type].name : "unknown";
}

int generator_find(const char *name)
{
    for (int i = 0; i < GENERATOR_COUNT; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return i;
    return -1;
}

static enum nabla_code check_fixed(const char *pointer, const char *kind, size_t value, size_t fixed,
                                   struct nabla_error *err)
{
    if (fixed == 0 || value == fixed)
        return NABLA_OK;
    return nabla_fail(err, NABLA_INVALID, pointer, "%s always has %zu %s, not %zu", kind, fixed, pointer + 1,
                      value);
}

// Rows times features that take too many bytes are the rows' fault.
static enum nabla_code check_limits(const struct generator *generator, const struct dataset_limits *limits,
                                    struct nabla_error *err)
{
    const size_t columns =
        generator->features > generator->targets ? generator->features : generator->targets;
    enum nabla_code code = dataset_check_size(generator->rows, columns, generator->classes, limits, err);
    const char *place = "/rows";
    if (generator->rows <= limits->rows && generator->features > limits->columns)
        place = "/features";
    else if (generator->rows <= limits->rows && generator->targets > limits->columns)
        place = "/targets";
    else if (generator->rows <= limits->rows && generator->classes > limits->classes)
        place = "/classes";
    if (code && err)
        strcpy(err->pointer, place);
    return code;
}

// What a row is to be told by: classes or targets.
static enum nabla_code check_labels(const struct generator *generator, const struct generator_kind *kind,
                                    struct nabla_error *err)
{
    if (kind->target && generator->classes != 0)
        return nabla_fail(err, NABLA_INVALID, "/classes", "%s has targets, not classes", kind->name);
    if (!kind->target && generator->targets != 0)
        return nabla_fail(err, NABLA_INVALID, "/targets", "%s has classes, not targets", kind->name);
    if (kind->target && generator->targets < 1)
        return nabla_fail(err, NABLA_INVALID, "/targets", "must be at least 1");
    if (!kind->target && generator->classes < 2)
        return nabla_fail(err, NABLA_INVALID, "/classes", "must be at least 2");
    if (generator->rows < 1 || generator->rows < generator->classes)
        return nabla_fail(err, NABLA_INVALID, "/rows", "must be at least the number of classes, %zu",
                          generator->classes);
    return NABLA_OK;
}

static enum nabla_code check(const struct generator *generator, const struct dataset_limits *limits,
                             struct nabla_error *err)
{
    if ((unsigned)generator->type >= GENERATOR_COUNT)
        return nabla_fail(err, NABLA_INVALID, "/type", "there is no such generator");
    const struct generator_kind *kind = &kinds[generator->type];
    enum nabla_code code =
        check_fixed("/features", kind->name, generator->features, kind->fixed_features, err);
    if (!code)
        code = check_fixed("/classes", kind->name, generator->classes, kind->fixed_classes, err);
    if (!code)
        code = check_fixed("/targets", kind->name, generator->targets, kind->fixed_targets, err);
    if (!code)
        code = check_labels(generator, kind, err);
    if (code)
        return code;
    if (generator->features < 1 || generator->features < kind->least_features)
        return nabla_fail(err, NABLA_INVALID, "/features", "must be at least %zu",
                          kind->least_features ? kind->least_features : 1);
    if (!(generator->noise >= 0 && generator->noise <= NOISE_MAX))
        return nabla_fail(err, NABLA_INVALID, "/noise", "must be a number from 0 to %g", NOISE_MAX);
    if (!(generator->imbalance >= 1) || !isfinite(generator->imbalance))
        return nabla_fail(err, NABLA_INVALID, "/imbalance", "must be a finite number, at least 1");
    if (generator->type != GENERATOR_IMBALANCED && generator->imbalance != 1)
        return nabla_fail(err, NABLA_INVALID, "/imbalance", "only the generator imbalanced takes it");
    return check_limits(generator, limits, err);
}

// The (classes - 1)-th root of 1/imbalance, by Newton's method: pow's last bit differs between libraries.
static double class_ratio(double imbalance, size_t steps)
{
    double ratio = 1, wanted = 1 / imbalance;
    for (int round = 0; round < 200; round++) {
        double power = 1;
        for (size_t i = 1; i < steps; i++)
            power *= ratio;
        ratio -= (power * ratio - wanted) / ((double)steps * power);
    }
    return ratio;
}

// How many rows each class gets: shares that fall geometrically, each at least one row; what rounding leaves
// goes to the first classes, one row each, so that even shares stay even.
static void class_sizes(const struct generator *generator, size_t *ret)
{
    double ratio = class_ratio(generator->imbalance, generator->classes - 1);
    double share = 1, total = 0;
    for (size_t class = 0; class < generator->classes; class ++, share *= ratio)
        total += share;
    size_t spare = generator->rows - generator->classes, left = spare;
    share = 1;
    for (size_t class = 0; class < generator->classes; class ++, share *= ratio) {
        size_t more = (size_t)((double)spare * (share / total));
        ret[class] = 1 + more;
        left -= more;
    }
    for (size_t class = 0; left > 0; class = class + 1 < generator->classes ? class + 1 : 0, left--)
        ret[class]++;
}

// Centres uniform in the box [-5, 5]: apart by a few deviations of the default noise. Targets' weights alike.
static void draw_centres(const struct generator *generator, float *ret)
{
    struct random random = random_new(generator->seed, STREAM_CENTRES);
    for (size_t i = 0; i < (generator->classes + generator->targets) * generator->features; i++)
        ret[i] = random_float(&random) * 10 - 5;
}

static void make_row(const struct sample *sample, float *row)
{
    const struct generator *generator = sample->generator;
    kinds[generator->type].place(sample, row);
    for (size_t i = 0; generator->noise > 0 && i < generator->features; i++)
        row[i] += (float)(generator->noise * random_normal(sample->random));
}

// Fills the rows class by class into shuffled places, so that a split by order sees all classes.
static void make_rows(const struct generator *generator, const float *centres, const size_t *sizes,
                      size_t *places, struct dataset *dataset)
{
    struct random random = random_new(generator->seed, STREAM_ROWS);
    for (size_t i = 0; i < generator->rows; i++)
        places[i] = i;
    random_shuffle(&random, places, generator->rows);
    struct sample sample = {.generator = generator, .centres = centres, .random = &random};
    size_t next = 0;
    for (sample.class = 0; sample.class < generator->classes; sample.class ++)
        for (size_t i = 0; i < sizes[sample.class]; i++) {
            size_t place = places[next++];
            sample.fraction = (double)i / (double)sizes[sample.class];
            make_row(&sample, dataset->features + place * generator->features);
            dataset->ids[place] = (int32_t)sample.class;
        }
    if (!kinds[generator->type].label_is_random)
        return;
    for (size_t i = generator->classes; i < generator->rows; i++)
        dataset->ids[places[i]] = (int32_t)random_below(&random, generator->classes);
    for (size_t i = 0; i < generator->classes; i++) // each class has a row, as every data set's must
        dataset->ids[places[i]] = (int32_t)i;
}

static void make_targets(const struct generator *generator, const float *weights, struct dataset *dataset)
{
    struct random random = random_new(generator->seed, STREAM_ROWS);
    for (size_t i = 0; i < generator->rows; i++)
        kinds[generator->type].target(generator, weights, &random,
                                      dataset->features + i * generator->features,
                                      dataset->targets + i * generator->targets);
}

static enum nabla_code make_room(const struct generator *generator, struct dataset **ret,
                                 struct nabla_error *err)
{
    return generator->targets > 0
               ? dataset_new_targets(generator->rows, generator->features, generator->targets, ret, err)
               : dataset_new(generator->rows, generator->features, generator->classes, ret, err);
}

enum nabla_code generator_make(const struct generator *generator, const struct dataset_limits *limits,
                               struct dataset **ret, struct nabla_error *err)
{
    struct dataset *dataset = NULL;
    enum nabla_code code = check(generator, limits, err);
    if (code)
        return code;
    float *centres =
        size_alloc(generator->classes + generator->targets, generator->features, sizeof *centres);
    size_t *sizes = size_alloc(generator->classes, 1, sizeof *sizes);
    size_t *places = size_alloc(generator->rows, 1, sizeof *places);
    code = centres && sizes && places ? make_room(generator, &dataset, err)
                                      : nabla_fail_memory(err, "a generated data set");
    if (!code)
        draw_centres(generator, centres);
    if (!code && generator->targets > 0) {
        make_targets(generator, centres, dataset);
    } else if (!code) {
        class_sizes(generator, sizes);
        make_rows(generator, centres, sizes, places, dataset);
    }
    if (!code)
        code = dataset_fill_names(dataset, err);
    free(centres);
    free(sizes);
    free(places);
    if (code)
        dataset_free(dataset);
    else
        *ret = dataset;
    return code;
}
