package io.github.dl4jretention.lm.layers;

import org.nd4j.linalg.api.ndarray.INDArray;

/** Hands out one array's memory in matrices, one behind the other. */
final class FloatArena {

    private final FloatRows memory;
    private long used;

    FloatArena(INDArray memory) {
        this.memory = FloatRows.all(memory);
    }

    FloatRows take(int rows, int columns) {
        FloatRows taken = memory.reshape(used, rows, columns);
        used += (long) rows * columns;
        return taken;
    }
}
