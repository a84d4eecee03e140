package example;

import io.github.dl4jretention.spark.SparkSweep;
import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.Batches;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.SweepData;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

/** Sweeps twelve coefficients of a small network on a cluster. */
public final class ClusterSweep {

    private ClusterSweep() {}

    /** @param args the folder of the results, on the driver */
    public static void main(String[] args) throws IOException {
        try (JavaSparkContext spark = new JavaSparkContext(new SparkConf().setAppName("sweep of the coefficient"))) {
            SweepOutcome outcome = run(spark, Path.of(args[0]), 12);
            System.out.println("candidates: " + outcome.complete().size() + ", recommended: "
                    + outcome.recommended().map(outcome::javaLine).orElse("none") + ", report: " + args[0]
                    + "/report.html");
        }
    }

    static SweepOutcome run(JavaSparkContext spark, Path folder, int candidates) throws IOException {
        Sweep sweep = Sweep.builder()
                .model(FinetuneModel.of(pretrained()))
                .data(new SweepData(text(0), text(1), text(2), text(3), text(4)))
                .space(FinetuneSpace.builder()
                        .retention(RetentionSpace.builder().coefficient(0.1, 10).build())
                        .steps(20)
                        .build())
                .search(Search.grid(candidates))
                .parallelism(spark.defaultParallelism())
                .folder(folder)
                .build();
        return SparkSweep.on(spark, sweep).run();
    }

    private static Batches text(int shift) {
        return Batches.of(() -> batches(shift));
    }

    private static MultiLayerNetwork pretrained() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .seed(1)
                .updater(new Adam(1e-2))
                .list()
                .layer(new LSTM.Builder().nOut(8).build())
                .layer(new RnnOutputLayer.Builder().nOut(5).build())
                .setInputType(InputType.recurrent(5))
                .build());
        network.init();
        return network;
    }

    private static DataSetIterator batches(int shift) {
        INDArray tokens = Nd4j.zeros(DataType.FLOAT, 4, 5, 6);
        for (int i = 0; i < 4; i++) {
            for (int t = 0; t < 6; t++) {
                tokens.putScalar(new int[] {i, (i + t * (1 + shift)) % 5, t}, 1);
            }
        }
        return new ListDataSetIterator<>(List.of(new DataSet(tokens, tokens.dup())), 4);
    }
}
