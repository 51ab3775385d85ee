// Compares templates with the library that "cdk diff" uses. Its rules on what CloudFormation replaces are those of the resource
// types' schemas, as the package @aws-cdk/aws-service-spec carries them. Reads [{name, old, new}] from standard input, templates both;
// writes what has changed in each. The one argument is the project's folder, with node_modules in it.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const require = createRequire(resolve(process.argv[1], 'package.json'));
const { fullDiff } = require('@aws-cdk/cloudformation-diff');
const { loadAwsServiceSpecSync } = require('@aws-cdk/aws-service-spec');

const spec = loadAwsServiceSpecSync();
const schema = (type) => spec.lookup('resource', 'cloudFormationType', 'equals', type)[0];
const holdsData = (type) => schema(type)?.isStateful === true;

// The name that a template gives a resource and that no second one can have: what identifies it, or, where AWS makes up the identifier,
// a name that cannot be changed. Empty if AWS makes up the name.
const fixedName = (resource) => {
  const type = schema(resource?.Type);
  if (!type) return '';
  const identifiers = (type.primaryIdentifier ?? []).filter((p) => p in type.properties);
  const names = ['Name', `${type.name}Name`].filter((p) => type.properties[p]?.causesReplacement === 'yes');
  const values = (identifiers.length > 0 ? identifiers : names).map((p) => resource.Properties?.[p]);
  return values.every((v) => typeof v === 'string') ? values.join(' ') : '';
};

const both = (collection, as) => ({ added: collection.additions.map(as), removed: collection.removals.map(as) });
const statement = (s) => s.render();
const attachment = ({ identityArn, managedPolicyArn }) => ({ identityArn, managedPolicyArn });
const rule = (r) => ({ group: r.groupId, protocol: r.describeProtocol(), peer: r.describePeer() });

const stacks = JSON.parse(readFileSync(0, 'utf8')).map(({ name, old, new: now }) => {
  const diff = fullDiff(old, now);
  const resources = [];
  diff.resources.forEachDifference((id, change) => {
    if (!change.isDifferent) return;
    const type = change.oldResourceType ?? change.newResourceType;
    resources.push({
      id,
      type,
      newType: change.newResourceType ?? type,
      impact: change.changeImpact,
      holdsData: holdsData(type),
      oldName: fixedName(old.Resources?.[id]),
      newName: fixedName(now.Resources?.[id]),
      properties: Object.entries(change.propertyUpdates).filter(([, p]) => p.isDifferent).map(([property, p]) => ({ property, impact: p.changeImpact })),
    });
  });
  return {
    name,
    resources,
    broadened: diff.permissionsBroadened,
    statements: both(diff.iamChanges.statements, statement),
    managedPolicies: both(diff.iamChanges.managedPolicies, attachment),
    ingress: both(diff.securityGroupChanges.ingress, rule),
    egress: both(diff.securityGroupChanges.egress, rule),
  };
});
process.stdout.write(JSON.stringify(stacks));
