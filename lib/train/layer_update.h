// One layer's parameters by one step of the optimiser. Large layers are shared with the calling thread's crew
// (base/crew.h) in parts whose size follows from the layer's alone: the same bits whoever took which part.
// Thread safety: as the network.
#ifndef NABLA_TRAIN_LAYER_UPDATE_H
#define NABLA_TRAIN_LAYER_UPDATE_H

#include "train/network.h"

// How a layer's gradient is clipped: its two tensors, weight and bias or gamma and beta, by scales of their
// own.
struct layer_clip {
    bool active;
    size_t second; // where the second tensor starts
    real scales[2], limit;
};

// `summary` is added to, unless it is NULL; what it holds as in network_update.
ENGINE void layer_update(struct layer *layer, const struct optimizer_step *step,
                         const struct layer_clip *clip, struct update_summary *summary);

#endif
