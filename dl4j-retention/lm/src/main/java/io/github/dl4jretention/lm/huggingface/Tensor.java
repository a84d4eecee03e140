package io.github.dl4jretention.lm.huggingface;

import java.util.List;

/**
 * A tensor of a safetensors file.
 *
 * @param name  of it
 * @param type  of its numbers
 * @param shape its axes; empty for a single number
 * @param begin its first byte, counted from the end of the header
 * @param end   behind its last byte
 */
record Tensor(String name, TensorType type, List<Long> shape, long begin, long end) {

    Tensor {
        shape = List.copyOf(shape);
    }

    long bytes() {
        return end - begin;
    }
}
