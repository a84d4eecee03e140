package io.github.dl4jretention.sweep;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.task.Losses;
import java.io.IOException;
import java.io.Writer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVPrinter;

/** {@code candidates.csv}: a row for each candidate that has ended. */
final class CandidateTable {

    private static final String[] COLUMNS =
            ("candidate,status,method,strength,coefficient,temperature,divergence,beta,label_smoothing,token_weight,preference,"
                            + "learning_rate,warm_up,steps,frozen_up_to,target,source,gain,forgetting,score,on_front,test_target,"
                            + "test_source,training_seconds,reason")
                    .split(",");

    private CandidateTable() {}

    static void write(SweepOutcome sweep, Writer writer) throws IOException {
        List<CandidateOutcome> front = sweep.front();
        CSVFormat format = CSVFormat.RFC4180.builder().setHeader(COLUMNS).build();
        try (CSVPrinter csv = new CSVPrinter(writer, format)) {
            for (CandidateOutcome candidate : sweep.candidates()) {
                csv.printRecord(row(sweep, candidate, front.contains(candidate)));
            }
        }
    }

    private static List<Object> row(SweepOutcome sweep, CandidateOutcome candidate, boolean onFront) {
        List<Object> row = new ArrayList<>(List.of(candidate.index(), candidate.status()));
        FinetuneConfiguration configuration = candidate.configuration();
        RetentionConfiguration retention = configuration == null ? null : configuration.retention();
        row.add(configuration == null ? "" : configuration.method());
        row.add(configuration == null ? "" : configuration.strength());
        row.addAll(
                retention == null
                        ? Arrays.asList("", "", "", "", "", "", "")
                        : List.of(
                                retention.getCoefficient(),
                                retention.getTemperature(),
                                retention.getDivergence(),
                                retention.getBeta(),
                                retention.getLabelSmoothing(),
                                retention.getTokenWeight() == null ? "" : retention.getTokenWeight(),
                                retention.getPreference() == null ? "" : retention.getPreference()));
        row.add(configuration == null ? "" : configuration.learningRate());
        row.add(configuration == null ? "" : configuration.warmUp());
        row.add(candidate.steps());
        row.add(configuration == null ? "" : configuration.frozenUpTo());
        Losses losses = candidate.validation();
        row.addAll(
                losses == null
                        ? Arrays.asList("", "", "", "")
                        : List.of(
                                losses.target(),
                                losses.source(),
                                losses.gain(sweep.base()),
                                losses.forgetting(sweep.base())));
        // Elsewhere it is a large number, for searches alone.
        row.add(sweep.isFeasible(candidate) ? candidate.score() : "");
        row.add(onFront);
        row.add(candidate.test() == null ? "" : candidate.test().target());
        row.add(candidate.test() == null ? "" : candidate.test().source());
        row.add(candidate.trainingSeconds());
        row.add(candidate.reason() == null ? "" : candidate.reason());
        return row;
    }
}
