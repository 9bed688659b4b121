// The handlers of the route table, one file per resource. Each takes an opened call with its whole body and
// fills *ret; see api/handler.h for what it may use.
#ifndef NABLA_API_HANDLERS_H
#define NABLA_API_HANDLERS_H

#include "api/handler.h"

typedef void route_handler(struct api_call *call, struct api_answer *ret);
typedef bool route_peek(struct api_call *call, struct api_answer *ret);

// losses.c
route_handler handle_losses; // POST /v1/losses

// loss_compare.c, loss_sweep.c
route_handler handle_losses_compare; // POST /v1/losses/compare
route_handler handle_losses_sweep;   // POST /v1/losses/sweep

// datasets*.c
route_handler handle_datasets_create; // POST   /v1/datasets
route_handler handle_datasets_list;   // GET    /v1/datasets
route_handler handle_datasets_get;    // GET    /v1/datasets/{id}
route_handler handle_datasets_data;   // GET    /v1/datasets/{id}/data
route_handler handle_datasets_delete; // DELETE /v1/datasets/{id}

// jobs*.c
route_handler handle_jobs_create;    // POST   /v1/jobs
route_handler handle_jobs_list;      // GET    /v1/jobs
route_handler handle_jobs_get;       // GET    /v1/jobs/{id}
route_handler handle_jobs_delete;    // DELETE /v1/jobs/{id}
route_handler handle_jobs_cancel;    // POST   /v1/jobs/{id}/cancel
route_handler handle_jobs_pause;     // POST   /v1/jobs/{id}/pause
route_handler handle_jobs_resume;    // POST   /v1/jobs/{id}/resume
route_handler handle_job_state_post; // POST   /v1/jobs/{id}/state

// checkpoints.c
route_handler handle_job_checkpoint_put; // PUT /v1/jobs/{id}/checkpoint
route_handler handle_job_checkpoint_get; // GET /v1/jobs/{id}/checkpoint

// job_storage.c
route_handler handle_job_storage; // GET /v1/jobs/{id}/storage

// job_log.c
route_peek peek_job_log;      // streams
route_handler handle_job_log; // GET  /v1/jobs/{id}/log

// models.c, predict.c
route_handler handle_job_model;   // GET  /v1/jobs/{id}/model
route_handler handle_job_predict; // POST /v1/jobs/{id}/predict

// histories.c
route_peek peek_job_history;           // of the GETs below: 304 where nothing is new
route_handler handle_job_metrics_get;  // GET  /v1/jobs/{id}/metrics
route_handler handle_job_metrics_post; // POST /v1/jobs/{id}/metrics
route_handler handle_job_gradients;    // GET  /v1/jobs/{id}/gradients

// histories_many.c
route_peek peek_many;                // of both: 304 where nothing is new
route_handler handle_metrics_many;   // GET  /v1/metrics
route_handler handle_gradients_many; // GET  /v1/gradients

// histograms.c
route_peek peek_job_histograms;
route_handler handle_job_histograms; // GET /v1/jobs/{id}/histograms

// events*.c
route_handler handle_job_events;      // GET  /v1/jobs/{id}/events
route_handler handle_job_events_post; // POST /v1/jobs/{id}/events

// dashboard.c
route_handler handle_dashboard; // GET /dashboard.css, /dashboard*.js, and / as a page

// system.c
route_handler handle_index;   // GET /
route_handler handle_healthz; // GET /healthz
route_handler handle_readyz;  // GET /readyz
route_handler handle_metrics; // GET /metrics
route_handler handle_openapi; // GET /openapi.json

#endif
