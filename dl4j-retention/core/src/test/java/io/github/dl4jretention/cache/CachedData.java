package io.github.dl4jretention.cache;

import io.github.dl4jretention.Networks;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** A language model of a vocabulary that a sample does not hold whole, and sequences for it. */
final class CachedData {

    static final int VOCABULARY = 100;

    private CachedData() {}

    static MultiLayerNetwork network(DataType type, long seed) {
        MultiLayerNetwork network = Networks.stacked(
                type,
                seed,
                new LSTM.Builder().nIn(Networks.INPUTS).nOut(8).build(),
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(8)
                        .nOut(VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NCW)
                        .build());
        network.params().muli(3);
        return network;
    }

    /** Two inputs, two language models. */
    static ComputationGraph twoTexts(long seed) {
        ComputationGraphConfiguration.GraphBuilder builder =
                new NeuralNetConfiguration.Builder().seed(seed).graphBuilder().addInputs("left", "right");
        for (String side : List.of("left", "right")) {
            builder.addLayer(
                    side + "Text",
                    new RnnOutputLayer.Builder(LossFunction.MCXENT)
                            .nIn(Networks.INPUTS)
                            .nOut(side.equals("left") ? 6 : 300)
                            .activation(Activation.SOFTMAX)
                            .dataFormat(RNNFormat.NCW)
                            .build(),
                    side);
        }
        ComputationGraph graph =
                new ComputationGraph(builder.setOutputs("leftText", "rightText").build());
        graph.init();
        return graph;
    }

    /** Sequences with class ids as labels. */
    static DataSet sequences(DataType type, int examples, long seed) {
        Random random = new Random(seed);
        INDArray labels = Nd4j.create(type, examples, 1, Networks.TIME);
        for (int i = 0; i < labels.length(); i++) {
            labels.putScalar(i, random.nextInt(VOCABULARY));
        }
        return new DataSet(Networks.normal(type, random, examples, Networks.INPUTS, Networks.TIME), labels);
    }

    /** All sequences in minibatches of a size, in some order. */
    static ExistingDataSetIterator batches(DataSet all, int size, long order) {
        List<Integer> examples = new ArrayList<>(
                IntStream.range(0, (int) all.getFeatures().size(0)).boxed().toList());
        java.util.Collections.shuffle(examples, new Random(order));
        List<DataSet> batches = new ArrayList<>();
        for (int from = 0; from < examples.size(); from += size) {
            int[] chosen = examples.subList(from, Math.min(from + size, examples.size())).stream()
                    .mapToInt(i -> i)
                    .toArray();
            batches.add(new DataSet(rows(all.getFeatures(), chosen), rows(all.getLabels(), chosen)));
        }
        return new ExistingDataSetIterator(batches);
    }

    static INDArray rows(INDArray array, int... examples) {
        return Nd4j.concat(
                0,
                Arrays.stream(examples)
                        .mapToObj(i -> array.get(NDArrayIndex.interval(i, i + 1)))
                        .toArray(INDArray[]::new));
    }
}
