#include "data/safetensors.h"
#include "data/tensor_dtype.h"

enum { ALIGNMENT = 8 };

static void write_metadata(struct buffer *header, const struct tensor_metadata *metadata, size_t count)
{
    buffer_text(header, "\"__metadata__\":{");
    for (size_t i = 0; i < count; i++) {
        buffer_text(header, i ? "," : "");
        buffer_json_string(header, metadata[i].key);
        buffer_char(header, ':');
        buffer_json_string(header, metadata[i].value);
    }
    buffer_char(header, '}');
}

static void write_entry(struct buffer *header, const struct tensor *tensor, size_t begin)
{
    buffer_json_string(header, tensor->name);
    buffer_format(header, ":{\"dtype\":\"%s\",\"shape\":[", tensor_dtypes[tensor->dtype].name);
    for (size_t i = 0; i < tensor->rank; i++)
        buffer_format(header, i ? ",%zu" : "%zu", tensor->shape[i]);
    buffer_format(header, "],\"data_offsets\":[%zu,%zu]}", begin, begin + tensor->bytes);
}

static void write_header(struct buffer *header, const struct tensor *tensors, size_t tensor_count,
                         const struct tensor_metadata *metadata, size_t metadata_count, size_t least)
{
    size_t begin = 0;
    buffer_char(header, '{');
    if (metadata_count > 0)
        write_metadata(header, metadata, metadata_count);
    for (size_t i = 0; i < tensor_count; i++) {
        if (i > 0 || metadata_count > 0)
            buffer_char(header, ',');
        write_entry(header, &tensors[i], begin);
        begin += tensors[i].bytes;
    }
    buffer_char(header, '}');
    while (!header->failed && (header->size < least || header->size % ALIGNMENT != 0))
        buffer_char(header, ' ');
}

enum nabla_code safetensors_write_header(const struct tensor *tensors, size_t tensor_count,
                                         const struct tensor_metadata *metadata, size_t metadata_count,
                                         size_t least, struct buffer *ret, struct nabla_error *err)
{
    struct buffer header = buffer_new(ret->limit);
    write_header(&header, tensors, tensor_count, metadata, metadata_count,
                 least > sizeof(uint64_t) ? least - sizeof(uint64_t) : 0);
    enum nabla_code code = buffer_status(&header, "a safetensors header", err);
    if (!code) {
        for (size_t i = 0; i < sizeof(uint64_t); i++)
            buffer_char(ret, (char)((uint64_t)header.size >> (8 * i) & 0xFF));
        buffer_append(ret, header.data, header.size);
        code = buffer_status(ret, "a safetensors header", err);
    }
    buffer_free(&header);
    return code;
}

enum nabla_code safetensors_write(const struct tensor *tensors, size_t tensor_count,
                                  const struct tensor_metadata *metadata, size_t metadata_count,
                                  struct buffer *ret, struct nabla_error *err)
{
    enum nabla_code code =
        safetensors_write_header(tensors, tensor_count, metadata, metadata_count, 0, ret, err);
    for (size_t i = 0; i < tensor_count && !code; i++)
        buffer_append(ret, tensors[i].data, tensors[i].bytes);
    return code ? code : buffer_status(ret, "a safetensors file", err);
}
