package io.github.dl4jretention.lm.layers;

import org.nd4j.linalg.api.ndarray.INDArray;

/** Hands out one array's memory in matrices, one behind the other. */
final class FloatArena {

    private final INDArray memory;
    private long used;

    FloatArena(INDArray memory) {
        this.memory = memory;
    }

    FloatRows take(int rows, int columns) {
        FloatRows taken = FloatRows.of(memory, used, rows, columns);
        used += (long) rows * columns;
        return taken;
    }
}
