import ai.djl.Device;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.ndarray.types.SparseFormat;
import ai.djl.nn.AbstractBlock;
import ai.djl.nn.Block;
import ai.djl.nn.Parameter;
import ai.djl.nn.SequentialBlock;
import ai.djl.nn.core.Linear;
import ai.djl.nn.recurrent.LSTM;
import ai.djl.training.DefaultTrainingConfig;
import ai.djl.training.GradientCollector;
import ai.djl.training.ParameterStore;
import ai.djl.training.Trainer;
import ai.djl.training.initializer.NormalInitializer;
import ai.djl.training.loss.Loss;
import ai.djl.training.optimizer.Adam;
import ai.djl.training.tracker.Tracker;
import ai.djl.util.PairList;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/**
 * Training steps of the LSTM in DJL, the other side of PeerBenchmark; Java runs it from this text. Arguments: plain or
 * online, batch, time, seconds of warm-up, seconds of measurement.
 */
public final class DjlPeer {

    private static final int VOCABULARY = 2000;
    private static final int UNITS = 256;
    private static final int LAYERS = 2;

    private DjlPeer() {}

    private static final class Embedding extends AbstractBlock {
        private final Parameter weight;

        Embedding() {
            weight = addParameter(Parameter.builder()
                    .setName("weight")
                    .setType(Parameter.Type.WEIGHT)
                    .optShape(new Shape(VOCABULARY, UNITS))
                    .optInitializer(new NormalInitializer(1f))
                    .build());
        }

        @Override
        protected NDList forwardInternal(ParameterStore store, NDList in, boolean training, PairList<String, Object> p) {
            NDArray ids = in.singletonOrThrow();
            NDArray table = store.getValue(weight, ids.getDevice(), training);
            return ids.getNDArrayInternal().embedding(ids, table, SparseFormat.DENSE);
        }

        @Override
        public Shape[] getOutputShapes(Shape[] in) {
            return new Shape[] {in[0].addAll(new Shape(UNITS))};
        }
    }

    private static Block network() {
        return new SequentialBlock()
                .add(new Embedding())
                .add(LSTM.builder()
                        .setNumLayers(LAYERS)
                        .setStateSize(UNITS)
                        .optBatchFirst(true)
                        .optReturnState(false)
                        .build())
                .add(Linear.builder().setUnits(VOCABULARY).build());
    }

    private static NDArray logSoftmax(NDArray logits) {
        return logits.reshape(-1, VOCABULARY).logSoftmax(-1);
    }

    /** Cross-entropy, and the divergence from a teacher's log-probabilities if there are any. */
    private static final class Divergence extends Loss {
        Divergence() {
            super("divergence");
        }

        @Override
        public NDArray evaluate(NDList labels, NDList predictions) {
            NDArray p = logSoftmax(predictions.singletonOrThrow());
            NDArray loss = p.gather(labels.get(0).reshape(-1, 1), 1).mean().neg();
            if (labels.size() == 1) {
                return loss;
            }
            NDArray p0 = labels.get(1);
            return loss.add(p0.exp().mul(p0.sub(p)).sum().div((float) p0.getShape().get(0)));
        }
    }

    public static void main(String[] args) throws Exception {
        boolean online = args[0].equals("online");
        int batch = Integer.parseInt(args[1]);
        int time = Integer.parseInt(args[2]);
        Engine.getInstance().setRandomSeed(1);
        try (Model model = Model.newInstance("student");
                Model frozen = Model.newInstance("teacher");
                NDManager manager = NDManager.newBaseManager()) {
            Block student = network();
            model.setBlock(student);
            DefaultTrainingConfig conf = new DefaultTrainingConfig(new Divergence())
                    .optOptimizer(Adam.builder().optLearningRateTracker(Tracker.fixed(1e-4f)).build())
                    .optDevices(new Device[] {Device.cpu()});
            try (Trainer trainer = model.newTrainer(conf)) {
                trainer.initialize(new Shape(batch, time));
                ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                student.saveParameters(new DataOutputStream(bytes));
                Block teacher = network();
                teacher.loadParameters(
                        frozen.getNDManager(), new DataInputStream(new ByteArrayInputStream(bytes.toByteArray())));
                ParameterStore store = new ParameterStore(frozen.getNDManager(), false);
                NDArray[] tokens = new NDArray[8];
                Random random = new Random(1);
                for (int i = 0; i < tokens.length; i++) {
                    tokens[i] = manager.create(
                            random.longs((long) batch * time, 0, VOCABULARY).toArray(), new Shape(batch, time));
                }
                double warmUp = Double.parseDouble(args[3]);
                double seconds = Double.parseDouble(args[4]);
                long start = System.nanoTime();
                long measuring = Long.MAX_VALUE;
                int measured = 0;
                for (int i = 0; measured < 3 || System.nanoTime() - measuring < seconds * 1e9; i++) {
                    if (measuring == Long.MAX_VALUE && i >= 3 && System.nanoTime() - start >= warmUp * 1e9) {
                        measuring = System.nanoTime();
                    }
                    long before = System.nanoTime();
                    try (NDManager step = model.getNDManager().newSubManager()) {
                        NDArray x = tokens[2 * i % tokens.length].duplicate();
                        NDArray y = tokens[(2 * i + 1) % tokens.length].duplicate();
                        x.attach(step);
                        y.attach(step);
                        NDList labels = new NDList(y);
                        if (online) {
                            labels.add(logSoftmax(teacher.forward(store, new NDList(x), false).singletonOrThrow()));
                        }
                        try (GradientCollector collector = trainer.newGradientCollector()) {
                            collector.backward(trainer.getLoss().evaluate(labels, trainer.forward(new NDList(x))));
                        }
                        trainer.step();
                    }
                    if (measuring != Long.MAX_VALUE) {
                        measured++;
                        System.out.printf("step %.3f%n", (System.nanoTime() - before) / 1e6);
                    }
                }
            }
        }
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                System.out.printf("peak %.1f%n", Long.parseLong(line.replaceAll("\\D", "")) / 1024.0);
            }
        }
    }
}
