package io.github.dl4jretention.samples.comparison;

import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * Pairs to learn a preference from without anybody's judgement: a window of target text is chosen, and what the base
 * writes after the same beginning is rejected. Where the base writes what the text says, there's no pair.
 */
final class PreferencePairs {

    private PreferencePairs() {}

    /**
     * {@return a minibatch of pairs for each of the windows', the chosen sequence of a pair before its rejected one}
     *
     * @param windows of target text, sequences of one length without masks
     * @param written as many, each after the beginning of the window at its place
     * @param prompt  tokens that both begin with; those after it are the answer
     */
    static DataSetIterator of(DataSetIterator windows, DataSetIterator written, int prompt) {
        return new ExistingDataSetIterator(() -> {
            windows.reset();
            written.reset();
            return new Iterator<>() {
                @Override
                public boolean hasNext() {
                    return windows.hasNext();
                }

                @Override
                public DataSet next() {
                    return pairs(windows.next(), written.next(), prompt);
                }
            };
        });
    }

    private static DataSet pairs(DataSet chosen, DataSet rejected, int prompt) {
        int[] differ = IntStream.range(0, chosen.numExamples())
                .filter(i -> !row(chosen.getLabels(), i).equals(row(rejected.getLabels(), i)))
                .toArray();
        if (differ.length == 0) {
            throw new IllegalStateException(
                    "pairs: expected a base that doesn't know the target text by heart, got one that wrote all "
                            + chosen.numExamples() + " windows of a minibatch as they are");
        }
        INDArray labels = inTurn(chosen.getLabels(), rejected.getLabels(), differ);
        long time = labels.size(labels.rank() - 1);
        INDArray answers = Nd4j.ones(DataType.FLOAT, labels.size(0), time);
        // The label of the prompt's last token is the answer's first.
        if (prompt > 1) {
            answers.get(NDArrayIndex.all(), NDArrayIndex.interval(0, prompt - 1))
                    .assign(0);
        }
        return new DataSet(inTurn(chosen.getFeatures(), rejected.getFeatures(), differ), labels, null, answers);
    }

    private static INDArray inTurn(INDArray chosen, INDArray rejected, int[] rows) {
        List<INDArray> all = Arrays.stream(rows)
                .boxed()
                .flatMap(i -> Stream.of(row(chosen, i), row(rejected, i)))
                .toList();
        return Nd4j.concat(0, all.toArray(INDArray[]::new));
    }

    private static INDArray row(INDArray array, int row) {
        INDArrayIndex[] indices = new INDArrayIndex[array.rank()];
        Arrays.fill(indices, NDArrayIndex.all());
        indices[0] = NDArrayIndex.interval(row, row + 1);
        return array.get(indices).dup('c');
    }
}
