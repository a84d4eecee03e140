package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.internal.ArrayStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;
import java.util.zip.CheckedOutputStream;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.MultiDataSetPreProcessor;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/** Texts as bytes: every bit of their batches, in their order. */
final class BatchStream {

    private static final int NOTHING = -1;

    private BatchStream() {}

    /**
     * Writes a text. Where it can be reset it's read twice, for who reads the bytes gets the same batches after each
     * reset.
     *
     * @param name of the text, for the message
     * @param out  not closed
     * @throws IllegalArgumentException if its batches are others after it was reset, or it has a measure of its own, which
     *     would be left behind
     */
    static void write(String name, Batches text, DataOutputStream out) throws IOException {
        if (text instanceof Batches.Measured) {
            throw new IllegalArgumentException(name + ": expected a text on which models are measured by their"
                    + " cross-entropy, got one of measuredBy(...), whose measure can't travel to other processes");
        }
        MultiDataSetIterator iterator = text.iterator();
        CRC32C first = new CRC32C();
        write(iterator, new CheckedOutputStream(out, first));
        if (iterator.resetSupported()) {
            iterator.reset();
            CRC32C second = new CRC32C();
            write(iterator, new CheckedOutputStream(OutputStream.nullOutputStream(), second));
            if (first.getValue() != second.getValue()) {
                throw new IllegalArgumentException(
                        name + ": expected the same batches in the same order after reset(), got others");
            }
        }
    }

    private static void write(MultiDataSetIterator iterator, OutputStream stream) throws IOException {
        DataOutputStream out = new DataOutputStream(stream);
        while (iterator.hasNext()) {
            MultiDataSet batch = iterator.next();
            out.writeBoolean(true);
            write(batch.getFeatures(), out);
            write(batch.getLabels(), out);
            write(batch.getFeaturesMaskArrays(), out);
            write(batch.getLabelsMaskArrays(), out);
        }
        out.writeBoolean(false);
        out.flush();
    }

    private static void write(@Nullable INDArray @Nullable [] arrays, DataOutputStream out) throws IOException {
        out.writeInt(arrays == null ? NOTHING : arrays.length);
        if (arrays != null) {
            for (INDArray array : arrays) {
                out.writeBoolean(array != null);
                if (array != null) {
                    ArrayStream.write(array, out);
                }
            }
        }
    }

    /** The text that {@link #write} wrote, in memory. */
    static Batches read(DataInputStream in) throws IOException {
        List<@Nullable INDArray @Nullable [][]> batches = new ArrayList<>();
        while (in.readBoolean()) {
            batches.add(new INDArray[][] {readArrays(in), readArrays(in), readArrays(in), readArrays(in)});
        }
        return () -> new MemoryIterator(batches);
    }

    private static @Nullable INDArray @Nullable [] readArrays(DataInputStream in) throws IOException {
        int count = in.readInt();
        if (count == NOTHING) {
            return null;
        }
        INDArray[] arrays = new INDArray[count];
        for (int i = 0; i < count; i++) {
            arrays[i] = in.readBoolean() ? ArrayStream.readArray(in, Long.MAX_VALUE) : null;
        }
        return arrays;
    }

    /** Each batch is an object of its own; its arrays are shared and must not be changed. */
    private static final class MemoryIterator implements MultiDataSetIterator {

        private static final long serialVersionUID = 1L;

        private final transient List<@Nullable INDArray @Nullable [][]> batches;
        private transient @Nullable MultiDataSetPreProcessor preProcessor;
        private int next;

        MemoryIterator(List<@Nullable INDArray @Nullable [][]> batches) {
            this.batches = batches;
        }

        @Override
        public boolean hasNext() {
            return next < batches.size();
        }

        @Override
        public MultiDataSet next() {
            INDArray[][] arrays = batches.get(next++);
            MultiDataSet batch = new org.nd4j.linalg.dataset.MultiDataSet(
                    copy(arrays[0]), copy(arrays[1]), copy(arrays[2]), copy(arrays[3]));
            if (preProcessor != null) {
                preProcessor.preProcess(batch);
            }
            return batch;
        }

        private static INDArray @Nullable [] copy(INDArray @Nullable [] arrays) {
            return arrays == null ? null : arrays.clone();
        }

        @Override
        public MultiDataSet next(int examples) {
            return next();
        }

        @Override
        public void setPreProcessor(@Nullable MultiDataSetPreProcessor preProcessor) {
            this.preProcessor = preProcessor;
        }

        @Override
        public @Nullable MultiDataSetPreProcessor getPreProcessor() {
            return preProcessor;
        }

        @Override
        public boolean resetSupported() {
            return true;
        }

        @Override
        public boolean asyncSupported() {
            return true;
        }

        @Override
        public void reset() {
            next = 0;
        }
    }
}
