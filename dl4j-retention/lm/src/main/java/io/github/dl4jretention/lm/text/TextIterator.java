package io.github.dl4jretention.lm.text;

import io.github.dl4jretention.checkpoint.RestartableIterator;
import io.github.dl4jretention.lm.layers.DecoderBlock;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.DataSetPreProcessor;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Minibatches of documents, in an order that follows from seed and epoch; {@link io.github.dl4jretention.lm.TextDataset}
 * describes them. The next document is read when there's room for it.
 *
 * @serial exclude
 */
public final class TextIterator implements DataSetIterator, RestartableIterator {

    private static final long serialVersionUID = 1L;

    /** Tokens that become a part of a sequence. */
    private record Piece(int[] ids, boolean[] learned) {

        /** Predictions: each token but the first. */
        int length() {
            return ids.length - 1;
        }
    }

    private final transient DocumentReader reader;
    private final transient @Nullable DocumentReader rejected;
    private final transient List<TextFile.Place> places;

    /** Whether several documents share a sequence. */
    private final boolean packed;

    /** Sequences of a minibatch. */
    private final int batch;

    /** Of the order of documents; null for that of the files. */
    private final @Nullable Long seed;

    private final transient List<Integer> order = new ArrayList<>();
    private final transient List<Piece> waiting = new ArrayList<>();

    /** Applied to each minibatch; null for none. */
    private @Nullable DataSetPreProcessor preProcessor;

    /** Of the order. */
    private int epoch;

    /** Place in the order of the next document. */
    private int next;

    /**
     * At the beginning of epoch 0.
     *
     * @param reader   makes tokens
     * @param rejected makes tokens of each document's rejected answer, a sequence behind its own; null for none
     * @param places the documents
     * @param packed whether documents share sequences
     * @param batch  sequences of a minibatch
     * @param seed   of the order; null for the files' order
     */
    public TextIterator(
            DocumentReader reader,
            @Nullable DocumentReader rejected,
            List<TextFile.Place> places,
            boolean packed,
            int batch,
            @Nullable Long seed) {
        this.reader = reader;
        this.rejected = rejected;
        this.places = List.copyOf(places);
        this.packed = packed;
        this.batch = batch;
        this.seed = seed;
        restart(0);
    }

    @Override
    public void restart(int epoch) {
        if (epoch < 0) {
            throw new IllegalArgumentException("epoch: expected a number of at least 0, got " + epoch);
        }
        this.epoch = epoch;
        next = 0;
        waiting.clear();
        order.clear();
        for (int i = 0; i < places.size(); i++) {
            order.add(i);
        }
        if (seed != null) {
            Collections.shuffle(order, new Random(seed + 0x9E3779B97F4A7C15L * (epoch + 1)));
        }
    }

    @Override
    public void reset() {
        restart(epoch + 1);
    }

    @Override
    public boolean hasNext() {
        return !waiting.isEmpty() || next < order.size();
    }

    @Override
    public DataSet next() {
        return next(batch);
    }

    @Override
    public DataSet next(int num) {
        if (!hasNext()) {
            throw new NoSuchElementException("no more documents in epoch " + epoch);
        }
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            List<List<Piece>> rows = new ArrayList<>();
            while (rows.size() < num && hasNext()) {
                rows.add(row());
                if (rejected != null) {
                    Document other = rejected.read(places.get(order.get(next - 1)));
                    rows.add(List.of(new Piece(other.ids(), other.learned())));
                }
            }
            DataSet data = data(rows);
            if (preProcessor != null) {
                preProcessor.preProcess(data);
            }
            return data;
        } catch (IOException e) {
            throw new UncheckedIOException(e.getMessage(), e);
        }
    }

    /** Pieces that share a sequence, at least one. */
    private List<Piece> row() throws IOException {
        List<Piece> row = new ArrayList<>();
        int room = reader.sequenceLength();
        while (hasNext() && (row.isEmpty() || packed)) {
            if (waiting.isEmpty()) {
                Document document = reader.read(places.get(order.get(next)));
                next++;
                waiting.add(new Piece(document.ids(), document.learned()));
                if (document.whole() && document.ids().length - 1 > room) {
                    break;
                }
            }
            Piece piece = waiting.remove(0);
            if (piece.length() > room) {
                waiting.add(0, part(piece, room, piece.length()));
                piece = part(piece, 0, room);
            }
            row.add(piece);
            room -= piece.length();
            if (room == 0) {
                break;
            }
        }
        return row;
    }

    /** Some of a piece's predictions. */
    private static Piece part(Piece piece, int from, int to) {
        return new Piece(
                java.util.Arrays.copyOfRange(piece.ids(), from, to + 1),
                java.util.Arrays.copyOfRange(piece.learned(), from, to + 1));
    }

    private DataSet data(List<List<Piece>> rows) {
        int time = packed ? reader.sequenceLength() : 1;
        for (List<Piece> row : rows) {
            time = Math.max(time, row.stream().mapToInt(Piece::length).sum());
        }
        int[] features = new int[rows.size() * time];
        int[] labels = new int[rows.size() * time];
        float[] featuresMask = new float[rows.size() * time];
        float[] labelsMask = new float[rows.size() * time];
        for (int r = 0; r < rows.size(); r++) {
            int at = r * time;
            int number = DecoderBlock.FIRST_DOCUMENT - 1;
            for (Piece piece : rows.get(r)) {
                number++;
                for (int i = 0; i < piece.length(); i++, at++) {
                    features[at] = piece.ids()[i];
                    labels[at] = piece.ids()[i + 1];
                    featuresMask[at] = packed ? number : 1;
                    labelsMask[at] = piece.learned()[i + 1] ? 1 : 0;
                }
            }
        }
        return new DataSet(
                array(features, rows.size(), time),
                array(labels, rows.size(), time),
                Nd4j.createFromArray(featuresMask).reshape(rows.size(), time),
                Nd4j.createFromArray(labelsMask).reshape(rows.size(), time));
    }

    private static INDArray array(int[] ids, int rows, int time) {
        return Nd4j.createFromArray(ids).reshape(rows, 1, time).castTo(DataType.INT32);
    }

    @Override
    public int batch() {
        return batch;
    }

    @Override
    public int inputColumns() {
        return 1;
    }

    @Override
    public int totalOutcomes() {
        return reader.tokenizer().vocabulary();
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
    public void setPreProcessor(DataSetPreProcessor preProcessor) {
        this.preProcessor = preProcessor;
    }

    @Override
    public @Nullable DataSetPreProcessor getPreProcessor() {
        return preProcessor;
    }

    @Override
    public @Nullable List<String> getLabels() {
        return null;
    }
}
