package io.github.dl4jretention.samples.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordedFrame;
import jdk.jfr.consumer.RecordingFile;

/**
 * The stacks of the calling thread while it worked, sampled by Java Flight Recorder in Java and in native code alike.
 */
public final class StepSamples {

    private static final Duration PERIOD = Duration.ofMillis(10);
    private static final String JAVA = "jdk.ExecutionSample";
    private static final String NATIVE = "jdk.NativeMethodSample";

    private final Map<StepPart, Map<StepWork, Integer>> counts = new EnumMap<>(StepPart.class);
    private final Map<String, Integer> innermost = new TreeMap<>();
    private int total;

    private StepSamples() {}

    /** Runs the work and samples it. */
    public static StepSamples of(Runnable work) throws IOException {
        Path file = Files.createTempFile("steps", ".jfr");
        try (Recording recording = new Recording()) {
            recording.enable(JAVA).withPeriod(PERIOD);
            recording.enable(NATIVE).withPeriod(PERIOD);
            recording.start();
            work.run();
            recording.stop();
            recording.dump(file);
            StepSamples samples = new StepSamples();
            for (RecordedEvent event : RecordingFile.readAllEvents(file)) {
                samples.add(event);
            }
            return samples;
        } finally {
            Files.delete(file);
        }
    }

    private void add(RecordedEvent event) {
        String name = event.getEventType().getName();
        if ((name.equals(JAVA) || name.equals(NATIVE))
                && event.getStackTrace() != null
                && event.getThread("sampledThread").getJavaThreadId()
                        == Thread.currentThread().getId()) {
            List<RecordedFrame> stack = new ArrayList<>(event.getStackTrace().getFrames());
            counts.computeIfAbsent(StepPart.of(stack), part -> new EnumMap<>(StepWork.class))
                    .merge(StepWork.of(stack), 1, Integer::sum);
            innermost.merge(StepPart.name(stack.get(0)), 1, Integer::sum);
            total++;
        }
    }

    /** Number of samples. */
    public int total() {
        return total;
    }

    /** Share of a part in all samples. */
    public double share(StepPart part) {
        return counts.getOrDefault(part, Map.of()).values().stream()
                        .mapToInt(Integer::intValue)
                        .sum()
                / (double) total;
    }

    /** Share of one kind of work of a part in all samples. */
    public double share(StepPart part, StepWork work) {
        return counts.getOrDefault(part, Map.of()).getOrDefault(work, 0) / (double) total;
    }

    /** The methods that were innermost most often, with their shares. */
    public List<Map.Entry<String, Double>> innermost(int most) {
        return innermost.entrySet().stream()
                .sorted(Map.Entry.<String, Integer>comparingByValue().reversed())
                .limit(most)
                .map(entry -> Map.entry(entry.getKey(), entry.getValue() / (double) total))
                .toList();
    }
}
