package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.loss.fused.FloatMemory;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * Keys and values of the tokens so far: a block's stored state.
 *
 * @param time   tokens so far
 * @param keys   {@code [batch, capacity, width]}, of which the first {@code time} count; null for none
 * @param values likewise
 * @param keep   {@code [batch][time]}: whether a token may be attended to; null if all may
 */
record KeyValueState(int time, @Nullable INDArray keys, @Nullable INDArray values, boolean @Nullable [][] keep) {

    static final KeyValueState EMPTY = new KeyValueState(0, null, null, null);

    /** Tokens that a state which is handed in has room for, so that a short text after it doesn't copy it again. */
    private static final int ROOM = 32;

    private static final String KEYS = "keys";
    private static final String VALUES = "values";
    private static final String KEEP = "keep";

    int capacity() {
        return keys == null ? 0 : (int) keys.size(1);
    }

    /** As DL4J hands states around: arrays of their own. */
    Map<String, INDArray> toMap() {
        Map<String, INDArray> map = new LinkedHashMap<>();
        if (keys != null && values != null) {
            map.put(KEYS, first(keys).dup('c'));
            map.put(VALUES, first(values).dup('c'));
            if (keep != null) {
                map.put(KEEP, Nd4j.createFromArray(keep));
            }
        }
        return map;
    }

    private void copy(INDArray from, INDArray to) {
        boolean dense = from.stride(1) == from.size(2) && from.stride(2) == 1;
        if (dense && FloatMemory.isAccessible(from) && FloatMemory.isAccessible(to)) {
            int[] all = IntStream.range(0, (int) from.size(0)).toArray();
            FloatMemory.copyFirst(from, all, to, time * from.size(2));
        } else {
            first(to).assign(first(from));
        }
    }

    private INDArray first(INDArray array) {
        return array.get(NDArrayIndex.all(), NDArrayIndex.interval(0, time), NDArrayIndex.all());
    }

    static KeyValueState of(Map<String, INDArray> map) {
        INDArray keys = map.get(KEYS);
        if (keys == null) {
            return EMPTY;
        }
        INDArray flags = map.get(KEEP);
        boolean @Nullable [][] keep = null;
        if (flags != null) {
            int[][] numbers = flags.castTo(DataType.INT32).toIntMatrix();
            keep = new boolean[numbers.length][numbers[0].length];
            for (int i = 0; i < keep.length; i++) {
                for (int j = 0; j < keep[i].length; j++) {
                    keep[i][j] = numbers[i][j] != 0;
                }
            }
        }
        KeyValueState given =
                new KeyValueState((int) keys.size(1), keys, requireNonNull(map.get(VALUES), VALUES), keep);
        int room = given.time + ROOM;
        return given.withRoom(keys.size(0), room, room, (int) keys.size(2), keys.dataType(), true);
    }

    /**
     * {@return this state with room for more tokens: itself, or a copy}
     *
     * @param batch    sequences
     * @param room     tokens in all that it must have room for
     * @param capacity tokens in all that a copy gets room for
     * @param copy     whether it must be a copy
     */
    KeyValueState withRoom(long batch, int room, int capacity, int width, DataType dataType, boolean copy) {
        if (keys != null && keys.size(0) != batch) {
            throw new IllegalArgumentException(
                    "input: expected batch " + keys.size(0) + ", as in the stored state, got " + batch
                            + "; call rnnClearPreviousState() before other sequences");
        }
        if (!copy && capacity() >= room) {
            return this;
        }
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            INDArray newKeys = Nd4j.createUninitialized(dataType, batch, capacity, width);
            INDArray newValues = Nd4j.createUninitialized(dataType, batch, capacity, width);
            if (keys != null && values != null) {
                copy(keys, newKeys);
                copy(values, newValues);
            }
            return new KeyValueState(time, newKeys, newValues, keep);
        }
    }

    /** Whether the tokens so far and those of a minibatch may be attended to; null if all may. */
    boolean @Nullable [][] keepWith(boolean @Nullable [][] more, int batch, int count) {
        if (keep == null && more == null) {
            return null;
        }
        boolean[][] all = new boolean[batch][time + count];
        for (int i = 0; i < batch; i++) {
            Arrays.fill(all[i], true);
            if (keep != null) {
                System.arraycopy(keep[i], 0, all[i], 0, time);
            }
            if (more != null) {
                System.arraycopy(more[i], 0, all[i], time, count);
            }
        }
        return all;
    }

    /** {@return the state after a minibatch} */
    KeyValueState after(Sequences sequences) {
        return new KeyValueState(sequences.total(), keys, values, sequences.keep());
    }
}
